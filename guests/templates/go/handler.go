// Says hello to pods, and tells of their phases.
package main

import (
	"log/slog"

	"informerd.dev/informerd"
)

type greeter struct {
	// What happens besides is ignored.
	informerd.NopHandler
	greeting string
}

func init() {
	informerd.Export(watches, newGreeter)
}

func main() {}

func watches() []informerd.Watch {
	return []informerd.Watch{{APIVersion: "v1", Kind: "Pod"}}
}

func newGreeter() (*greeter, error) {
	greeting, ok := informerd.Config.GetString("greeting")
	if !ok {
		greeting = "hello"
	}
	return &greeter{greeting: greeting}, nil
}

func (greeter *greeter) OnAdd(pod informerd.Object, isInInitialList bool) error {
	slog.Info(greeter.greeting + " " + pod.Key().String())
	return nil
}

func (greeter *greeter) OnUpdate(old, new informerd.Object) error {
	before, _ := old.GetString("/status/phase")
	after, _ := new.GetString("/status/phase")
	if before != after {
		slog.Info(new.Key().String()+" has another phase", "before", before, "after", after)
	}
	return nil
}
