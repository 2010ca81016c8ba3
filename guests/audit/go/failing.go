package main

import (
	"errors"
	"fmt"
	"time"

	"informerd.dev/informerd"
)

// failing is the state that was failed last, and how often.
type failing struct {
	uid, resourceVersion string
	times                int
}

// check fails as the object's annotation asks for.
func (failing *failing) check(object informerd.Object) error {
	request, _ := object.GetString("/metadata/annotations/audit.informerd.dev~1fail")
	switch request {
	case "permanent":
		return informerd.Permanent(errors.New("asked to fail for good"))
	case "trap":
		panic("asked to trap")
	}
	const retry = "retry "
	if len(request) == len(retry)+1 && request[:len(retry)] == retry {
		if digit := request[len(retry)]; '1' <= digit && digit <= '9' {
			return failing.retry(object.Key(), int(digit-'0'))
		}
	}
	return nil
}

func (failing *failing) retry(key informerd.Key, times int) error {
	if failing.uid != key.UID || failing.resourceVersion != key.ResourceVersion {
		failing.uid, failing.resourceVersion, failing.times = key.UID, key.ResourceVersion, 0
	}
	if failing.times == times {
		return nil
	}
	failing.times++
	err := fmt.Errorf("asked to fail, %d of %d", failing.times, times)
	return informerd.RetryAfter(time.Millisecond, err)
}
