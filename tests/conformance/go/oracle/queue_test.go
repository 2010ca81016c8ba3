package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unsafe"

	"k8s.io/client-go/tools/cache"
)

// queueTrace is the trace that src/queue_traces.rs documents.
type queueTrace struct {
	Queue        string           `json:"queue"`
	KnownObjects []string         `json:"known_objects"`
	Transform    string           `json:"transform"`
	BatchSize    *int64           `json:"batch_size"`
	Operations   []queueOperation `json:"operations"`
	KeyOrders    [][]string       `json:"key_orders"`
}

type queueOperation struct {
	Op              string   `json:"op"`
	Object          string   `json:"object"`
	Objects         []string `json:"objects"`
	ResourceVersion string   `json:"resource_version"`
}

// queueObservation is what one operation did.
type queueObservation struct {
	Failed    bool     `json:"failed"`
	Popped    *popped  `json:"popped"`
	Length    int      `json:"length"`
	HasSynced bool     `json:"has_synced"`
	Known     []string `json:"known"`
}

type popped struct {
	// State is "processed", "empty" or "closed".
	State           string   `json:"state"`
	Deltas          []string `json:"deltas"`
	IsInInitialList bool     `json:"is_in_initial_list"`
}

// consumer is a queue with what processes its items, as an informer does.
type consumer struct {
	queue cache.Queue
	// What has been processed; the queue's known objects, if it has any.
	store cache.Indexer
	// The order in which the store's keys are listed in the current operation.
	keyOrder []string
}

func runQueue(line json.RawMessage) (any, error) {
	var trace queueTrace
	if err := json.Unmarshal(line, &trace); err != nil {
		return nil, err
	}
	consumer := consumer{store: cache.NewIndexer(cache.DeletionHandlingMetaNamespaceKeyFunc, cache.Indexers{})}
	known, err := parseObjects(trace.KnownObjects)
	if err != nil {
		return nil, err
	}
	for _, object := range known {
		if err := consumer.store.Add(object); err != nil {
			return nil, err
		}
	}
	if err := consumer.makeQueue(&trace); err != nil {
		return nil, err
	}
	observations := []queueObservation{}
	for index, operation := range trace.Operations {
		consumer.keyOrder = nil
		if index < len(trace.KeyOrders) {
			consumer.keyOrder = trace.KeyOrders[index]
		}
		observation, err := consumer.run(operation)
		if err != nil {
			return nil, err
		}
		observations = append(observations, observation)
	}
	for consumer.length() > 0 {
		observation, err := consumer.run(queueOperation{Op: "pop"})
		if err != nil {
			return nil, err
		}
		observations = append(observations, observation)
	}
	return observations, nil
}

func (c *consumer) makeQueue(trace *queueTrace) error {
	transformer, err := transformer(trace.Transform)
	if err != nil {
		return err
	}
	var known cache.KeyListerGetter
	if trace.KnownObjects != nil {
		known = knownObjects{c}
	}
	var options cache.RealFIFOOptions
	switch trace.Queue {
	case "delta":
		c.queue = cache.NewDeltaFIFOWithOptions(cache.DeltaFIFOOptions{
			KnownObjects:          known,
			EmitDeltaTypeReplaced: true,
			Transformer:           transformer,
		})
		return nil
	case "in-order":
		options = cache.RealFIFOOptions{KnownObjects: known}
	case "in-order-atomic":
		options = cache.RealFIFOOptions{AtomicEvents: true, EmitDeltaTypeBookmark: true}
	default:
		return fmt.Errorf("no such queue: %q", trace.Queue)
	}
	options.Transformer = transformer
	queue := cache.NewRealFIFOWithOptions(options)
	if trace.BatchSize != nil {
		setField(queue, "batchSize", *trace.BatchSize)
	}
	c.queue = queue
	return nil
}

func (c *consumer) run(operation queueOperation) (queueObservation, error) {
	var observation queueObservation
	var failure error
	switch operation.Op {
	case "add", "update", "delete":
		object, err := parseObject(operation.Object)
		if err != nil {
			return observation, err
		}
		do := map[string]func(any) error{"add": c.queue.Add, "update": c.queue.Update, "delete": c.queue.Delete}
		failure = do[operation.Op](object)
	case "replace":
		objects, err := parseObjects(operation.Objects)
		if err != nil {
			return observation, err
		}
		failure = c.queue.Replace(objects, operation.ResourceVersion)
	case "resync":
		failure = c.queue.Resync()
	case "bookmark":
		if queue, ok := c.queue.(*cache.RealFIFO); ok {
			failure = queue.Bookmark(operation.ResourceVersion)
		}
	case "pop", "pop_batch":
		observation.Popped, failure = c.pop(operation.Op == "pop_batch")
	case "close":
		c.queue.Close()
	default:
		return observation, fmt.Errorf("no such operation: %q", operation.Op)
	}
	observation.Failed = failure != nil
	observation.Length = c.length()
	observation.HasSynced = c.queue.HasSynced()
	observation.Known = sortedTexts(c.store.List())
	return observation, nil
}

// pop takes what is first in line. It does not wait: an open queue without items is "empty".
func (c *consumer) pop(batch bool) (*popped, error) {
	closed := c.queue.(interface{ IsClosed() bool }).IsClosed()
	if c.length() == 0 && !closed {
		return &popped{State: "empty", Deltas: []string{}}, nil
	}
	result := popped{State: "processed", Deltas: []string{}}
	process := func(deltas []cache.Delta, isInInitialList bool) error {
		result.IsInInitialList = isInInitialList
		for _, delta := range deltas {
			result.Deltas = append(result.Deltas, deltaText(delta))
			if err := c.apply(delta); err != nil {
				return err
			}
		}
		return nil
	}
	processSingle := func(obj any, isInInitialList bool) error {
		return process(obj.(cache.Deltas), isInInitialList)
	}
	var err error
	if queue, ok := c.queue.(cache.QueueWithBatch); ok && batch {
		err = queue.PopBatch(process, processSingle)
	} else {
		_, err = c.queue.Pop(processSingle)
	}
	if errors.Is(err, cache.ErrFIFOClosed) {
		return &popped{State: "closed", Deltas: []string{}}, nil
	}
	return &result, err
}

// apply does to the store what client-go's processDeltas does.
func (c *consumer) apply(delta cache.Delta) error {
	switch delta.Type {
	case cache.ReplacedAll:
		info := delta.Object.(cache.ReplacedAllInfo)
		return c.store.Replace(slices.Clone(info.Objects), info.ResourceVersion)
	case cache.Sync, cache.Replaced, cache.Added, cache.Updated:
		return c.store.Update(delta.Object)
	case cache.Deleted:
		return c.store.Delete(delta.Object)
	case cache.Bookmark, cache.SyncAll:
		return nil
	default:
		return fmt.Errorf("no such delta: %q", delta.Type)
	}
}

func deltaText(delta cache.Delta) string {
	switch object := delta.Object.(type) {
	case cache.DeletedFinalStateUnknown:
		return fmt.Sprintf("DeletedFinalStateUnknown %s", text(object.Obj))
	case cache.ReplacedAllInfo:
		return fmt.Sprintf("ReplacedAll %s %v", object.ResourceVersion, texts(object.Objects))
	case cache.SyncAllInfo:
		return "SyncAll"
	case cache.BookmarkInfo:
		return fmt.Sprintf("Bookmark %s", object.ResourceVersion)
	default:
		return fmt.Sprintf("%s %s", delta.Type, text(object))
	}
}

// transformer gives the transform that src/queue_traces.rs documents under this name.
func transformer(name string) (cache.TransformFunc, error) {
	mark := func(obj any) (any, error) {
		marked := obj.(*object).DeepCopy()
		marked.Annotations[valueAnnotation] += "+"
		return marked, nil
	}
	switch name {
	case "none":
		return nil, nil
	case "mark":
		return mark, nil
	case "refuse-bad":
		return func(obj any) (any, error) {
			if obj.(*object).Annotations[valueAnnotation] == "bad" {
				return nil, errors.New("bad")
			}
			return mark(obj)
		}, nil
	default:
		return nil, fmt.Errorf("no such transform: %q", name)
	}
}

// length is how many items are queued, which neither queue tells.
func (c *consumer) length() int {
	field := "items"
	if _, ok := c.queue.(*cache.DeltaFIFO); ok {
		field = "queue"
	}
	return reflect.ValueOf(c.queue).Elem().FieldByName(field).Len()
}

// setField sets what only tests of client-go itself can set.
func setField(queue *cache.RealFIFO, name string, value int64) {
	field := reflect.ValueOf(queue).Elem().FieldByName(name)
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().SetInt(value)
}

// knownObjects is the consumer's store as the queue sees it. A store lists its keys in an arbitrary
// order; here it is the one that the other side had.
type knownObjects struct{ *consumer }

// GetByKey implements [cache.KeyGetter].
func (k knownObjects) GetByKey(key string) (any, bool, error) {
	return k.store.GetByKey(key)
}

// ListKeys implements [cache.KeyLister].
func (k knownObjects) ListKeys() []string {
	keys := k.store.ListKeys()
	have := map[string]bool{}
	for _, key := range keys {
		have[key] = true
	}
	ordered := slices.DeleteFunc(slices.Clone(k.keyOrder), func(key string) bool { return !have[key] })
	for _, key := range ordered {
		delete(have, key)
	}
	return append(ordered, slices.Sorted(maps.Keys(have))...)
}
