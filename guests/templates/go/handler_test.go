package main

import (
	"fmt"
	"testing"

	"informerd.dev/informerd"
	"informerd.dev/informerd/informerdtest"
)

func pod(host *informerdtest.Host, phase string) informerd.Object {
	return host.Object(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod",
		"metadata": {"namespace": "demo", "name": "web-1"}, "status": {"phase": %q}}`, phase))
}

func TestAPodIsGreetedAndFollowed(t *testing.T) {
	host := informerdtest.NewHost(t)
	greeter, _ := newGreeter()
	greeter.OnAdd(pod(host, "Pending"), false)
	greeter.OnUpdate(pod(host, "Pending"), pod(host, "Pending"))
	greeter.OnUpdate(pod(host, "Pending"), pod(host, "Running"))

	log := host.TakeLog()
	if len(log) != 2 || log[0].Message != "hello demo/web-1" || log[1].Field("after") != "Running" {
		t.Errorf("%+v", log)
	}
}

func TestTheGreetingCanBeConfigured(t *testing.T) {
	host := informerdtest.NewHost(t)
	host.SetConfig(`{"greeting": "moin"}`)
	greeter, _ := newGreeter()
	greeter.OnAdd(pod(host, "Pending"), true)

	if log := host.TakeLog(); len(log) != 1 || log[0].Message != "moin demo/web-1" {
		t.Errorf("%+v", log)
	}
}
