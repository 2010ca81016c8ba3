package main

import (
	"net/http"
	"path"
	"sync"

	"k8s.io/client-go/rest"
)

// listCounter counts, by resource, the answers that begin with the whole collection: lists, and
// watches that send the initial state. A stream that breaks off before that state is complete counts too.
type listCounter struct {
	next   http.RoundTripper
	lock   sync.Mutex
	counts map[string]int64
}

// newListCounter counts what clients with this configuration ask from now on.
func newListCounter(config *rest.Config) *listCounter {
	counter := &listCounter{counts: map[string]int64{}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		counter.next = next
		return counter
	})
	return counter
}

// RoundTrip implements [http.RoundTripper].
func (c *listCounter) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	query := request.URL.Query()
	isList := !query.Has("watch") || query.Get("sendInitialEvents") == "true"
	if err == nil && response.StatusCode == http.StatusOK && isList {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.counts[path.Base(request.URL.Path)]++
	}
	return response, err
}

func (c *listCounter) of(resource string) int64 {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.counts[resource]
}
