// Package informerd is what handlers for informerd are written with in Go.
//
//	type phases struct{ informerd.NopHandler }
//
//	func (phases) OnUpdate(old, new informerd.Object) error {
//		before, _ := old.GetString("/status/phase")
//		after, _ := new.GetString("/status/phase")
//		if before != after {
//			slog.Info(new.Key().String() + " is " + after)
//		}
//		return nil
//	}
//
//	func init() {
//		informerd.Export(
//			func() []informerd.Watch { return []informerd.Watch{{APIVersion: "v1", Kind: "Pod"}} },
//			func() (phases, error) { return phases{}, nil },
//		)
//	}
//
//	func main() {}
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared, that is a handler module. In go test, package
// informerdtest is the host.
//
// The order of calls, and what can be relied on, is in the contract, wit/handler.wit; what is said here is what is
// different in Go. One call runs at a time, and nothing runs between calls: a goroutine that a call leaves behind
// waits for the next one.
package informerd

import (
	"log/slog"

	"informerd.dev/informerd/internal/host"
)

// Handler is what a handler does: each method is one call of the host. Embed [NopHandler] to leave some of
// them out.
//
// An error has the state delivered again; [RetryAfter] says when, and [Permanent] that it is not. A panic costs the
// instance and what it remembered; its text is in the host's log.
type Handler interface {
	// OnAdd: the object appeared, or was there when the handler joined.
	OnAdd(object Object, isInInitialList bool) error
	// OnUpdate: the object changed, from the state that was handled last. On a periodic resync both are the same
	// state.
	OnUpdate(old, new Object) error
	// OnDelete: the object is gone, and this was its last known state. It may have changed after that if
	// finalStateUnknown.
	OnDelete(last Object, finalStateUnknown bool) error
	// OnSynced: every object that was there when the handler joined has been handled, or has failed for good.
	OnSynced() error
}

// NopHandler does nothing.
type NopHandler struct{}

func (NopHandler) OnAdd(Object, bool) error      { return nil }
func (NopHandler) OnUpdate(Object, Object) error { return nil }
func (NopHandler) OnDelete(Object, bool) error   { return nil }
func (NopHandler) OnSynced() error               { return nil }

// Watch is one collection of objects. Only APIVersion and Kind are needed.
type Watch struct {
	// As in a manifest: v1, apps/v1.
	APIVersion string
	Kind       string
	// All of them if empty.
	Namespaces    []string
	LabelSelector string
	FieldSelector string
}

// Export makes a handler of the module, and of package slog's default logger the host's log. Call it in an init function:
// main never runs.
//
// watches names what to watch; nothing leaves it to the handler spec, and so does no function. newHandler makes the
// handler of a new instance, after loading and again after a panic; an error refuses the configuration. Both
// may read [Config].
func Export[H Handler](watches func() []Watch, newHandler func() (H, error)) {
	slog.SetDefault(slog.New(logHandler{}))
	host.Exported = &host.Module{
		Watches: func() (exported []host.Watch) {
			if watches != nil {
				for _, watch := range watches() {
					exported = append(exported, host.Watch(watch))
				}
			}
			return exported
		},
		Init: func() error {
			handler, err := newHandler()
			host.Exported.Notifications = notifications{handler}
			return err
		},
	}
}

// notifications has the host's words for those of a handler.
type notifications struct{ handler Handler }

func (it notifications) OnAdd(key host.Key, object host.Ticket, isInInitialList bool) *host.Failure {
	return failure(it.handler.OnAdd(objectOf(key, object), isInInitialList))
}

func (it notifications) OnUpdate(key host.Key, old, new host.Ticket) *host.Failure {
	return failure(it.handler.OnUpdate(Object{ticket: old}, objectOf(key, new)))
}

func (it notifications) OnDelete(key host.Key, last host.Ticket, finalStateUnknown bool) *host.Failure {
	return failure(it.handler.OnDelete(objectOf(key, last), finalStateUnknown))
}

func (it notifications) OnSynced() *host.Failure {
	return failure(it.handler.OnSynced())
}
