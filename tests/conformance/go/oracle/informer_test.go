package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/features"
	"k8s.io/client-go/tools/cache"
)

// informerTrace is the trace that src/informer_traces.rs documents.
type informerTrace struct {
	Queue         string         `json:"queue"`
	WatchList     string         `json:"watch_list"`
	PageSize      int            `json:"page_size"`
	FirstVersion  int            `json:"first_version"`
	Transform     bool           `json:"transform"`
	DefaultResync *float64       `json:"default_resync"`
	Handlers      []handlerTrace `json:"handlers"`
	Steps         []informerStep `json:"steps"`
}

type handlerTrace struct {
	Resync *float64 `json:"resync"`
	Slow   float64  `json:"slow"`
}

type informerStep struct {
	Actions []action `json:"actions"`
	Wait    float64  `json:"wait"`
}

type action struct {
	Do      string       `json:"do"`
	Change  change       `json:"change"`
	Failure string       `json:"failure"`
	After   int          `json:"after"`
	Times   int          `json:"times"`
	Handler handlerTrace `json:"handler"`
	Index   int          `json:"index"`
	Wait    float64      `json:"wait"`
}

// informerObservation is what happened in a step, and how everything stands at its end.
type informerObservation struct {
	Told            [][]told `json:"told"`
	Synced          []bool   `json:"synced"`
	Store           []string `json:"store"`
	ResourceVersion string   `json:"resource_version"`
	Requests        []string `json:"requests"`
}

// told is one call of a handler.
type told struct {
	Told    string `json:"told"`
	Object  string `json:"object,omitempty"`
	Initial *bool  `json:"initial,omitempty"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Unknown *bool  `json:"final_state_unknown,omitempty"`
}

// runInformer runs a whole informer over a scripted ListerWatcher, in virtual time.
func runInformer(t *testing.T, line json.RawMessage) (any, error) {
	var trace informerTrace
	if err := json.Unmarshal(line, &trace); err != nil {
		return nil, err
	}
	switch trace.Queue {
	case "in-order":
	case "delta":
		setFeatureGates(map[features.Feature]bool{
			features.InOrderInformers:             false,
			features.InOrderInformersBatchProcess: false,
			features.AtomicFIFO:                   false,
			features.UnlockWhileProcessingFIFO:    false,
		})
	default:
		return nil, fmt.Errorf("no such queue: %q", trace.Queue)
	}
	var observations []informerObservation
	var err error
	synctest.Test(t, func(*testing.T) {
		observations, err = playInformer(&trace)
	})
	return observations, err
}

// playInformer returns when everything that it started has ended.
func playInformer(trace *informerTrace) ([]informerObservation, error) {
	server := newServer(trace)
	lw := &cache.ListWatch{ListWithContextFunc: server.list, WatchFuncWithContext: server.watch}
	defaultResync := seconds(trace.DefaultResync)
	stage := stage{
		server:   server,
		informer: cache.NewSharedIndexInformer(lw, &object{}, defaultResync, cache.Indexers{}),
		isAtomic: trace.Queue == "in-order",
	}
	if trace.Transform {
		transform, err := transformer("mark")
		if err != nil {
			return nil, err
		}
		if err := stage.informer.SetTransform(transform); err != nil {
			return nil, err
		}
	}
	for _, handler := range trace.Handlers {
		if err := stage.join(handler); err != nil {
			return nil, err
		}
	}

	ctx, stop := context.WithCancel(context.Background())
	var informer sync.WaitGroup
	defer informer.Wait()
	defer stop()

	observations := []informerObservation{}
	for number, step := range trace.Steps {
		for _, action := range step.Actions {
			if err := stage.act(&action); err != nil {
				return nil, err
			}
		}
		if number == 0 {
			informer.Go(func() { stage.informer.RunWithContext(ctx) })
		}
		sleep(step.Wait)
		synctest.Wait()
		observations = append(observations, stage.observe())
		server.calmDown()
	}
	return observations, nil
}

// stage is one informer with all around it.
type stage struct {
	server   *server
	informer cache.SharedIndexInformer
	isAtomic bool
	handlers []*recorder
}

func (s *stage) act(action *action) error {
	switch action.Do {
	case "change":
		return s.server.change(action.Change)
	case "bookmark":
		s.server.bookmark()
	case "close":
		s.server.close(nil)
	case "reset":
		s.server.reset()
	case "silence":
		s.server.silence()
	case "fail-stream":
		failure, err := failure(action.Failure)
		if err != nil {
			return err
		}
		s.server.close(failure)
	case "fail-lists":
		return s.server.failLists(action.Failure, action.After, action.Times)
	case "fail-watches":
		return s.server.failWatches(action.Failure, action.Times)
	case "join":
		return s.join(action.Handler)
	case "remove":
		if action.Index < 0 || action.Index >= len(s.handlers) {
			return fmt.Errorf("no handler %d has joined", action.Index)
		}
		recorder := s.handlers[action.Index]
		recorder.removed = true
		return s.informer.RemoveEventHandler(recorder.registration)
	case "wait":
		sleep(action.Wait)
	default:
		return fmt.Errorf("no such action: %q", action.Do)
	}
	return nil
}

func (s *stage) join(handler handlerTrace) error {
	recorder := &recorder{slow: handler.Slow}
	resync := seconds(handler.Resync)
	registration, err := s.informer.AddEventHandlerWithOptions(recorder, cache.HandlerOptions{ResyncPeriod: &resync})
	recorder.registration = registration
	s.handlers = append(s.handlers, recorder)
	return err
}

func (s *stage) observe() informerObservation {
	observation := informerObservation{
		Told:            [][]told{},
		Synced:          []bool{},
		Store:           sortedTexts(s.informer.GetStore().List()),
		ResourceVersion: s.informer.LastSyncResourceVersion(),
		Requests:        s.server.takeRequests(),
	}
	if s.isAtomic {
		observation.ResourceVersion = s.informer.GetStore().LastStoreSyncResourceVersion()
	}
	for _, recorder := range s.handlers {
		observation.Told = append(observation.Told, recorder.take())
		observation.Synced = append(observation.Synced, !recorder.removed && recorder.registration.HasSynced())
	}
	return observation
}

// recorder is a handler that writes down what it is told.
type recorder struct {
	registration cache.ResourceEventHandlerRegistration
	removed      bool
	// How many seconds a call takes.
	slow float64
	lock sync.Mutex
	told []told
}

// OnAdd implements [cache.ResourceEventHandler].
func (r *recorder) OnAdd(obj any, isInInitialList bool) {
	r.write(told{Told: "added", Object: text(obj), Initial: &isInInitialList})
}

// OnUpdate implements [cache.ResourceEventHandler].
func (r *recorder) OnUpdate(oldObj, newObj any) {
	r.write(told{Told: "updated", Old: text(oldObj), New: text(newObj)})
}

// OnDelete implements [cache.ResourceEventHandler].
func (r *recorder) OnDelete(obj any) {
	tombstone, unknown := obj.(cache.DeletedFinalStateUnknown)
	if unknown {
		obj = tombstone.Obj
	}
	r.write(told{Told: "deleted", Object: text(obj), Unknown: &unknown})
}

func (r *recorder) write(told told) {
	r.lock.Lock()
	r.told = append(r.told, told)
	r.lock.Unlock()
	sleep(r.slow)
}

// take gives what was told since the last call.
func (r *recorder) take() []told {
	r.lock.Lock()
	defer r.lock.Unlock()
	taken := append([]told{}, r.told...)
	r.told = nil
	return taken
}

func seconds(seconds *float64) time.Duration {
	if seconds == nil {
		return 0
	}
	return time.Duration(*seconds * float64(time.Second))
}

func sleep(length float64) {
	if length > 0 {
		time.Sleep(seconds(&length))
	}
}
