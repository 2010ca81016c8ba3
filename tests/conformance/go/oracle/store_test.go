package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/tools/cache"
)

// storeTrace is the trace that src/store_traces.rs documents.
type storeTrace struct {
	Operations []storeOperation `json:"operations"`
}

type storeOperation struct {
	Op              string        `json:"op"`
	Object          string        `json:"object"`
	Key             string        `json:"key"`
	Objects         []string      `json:"objects"`
	Changes         []storeChange `json:"changes"`
	ResourceVersion string        `json:"resource_version"`
	Name            string        `json:"name"`
	Func            string        `json:"func"`
}

type storeChange struct {
	Op     string `json:"op"`
	Object string `json:"object"`
}

// storeObservation is what a reader finds after one operation.
type storeObservation struct {
	Failed          bool                    `json:"failed"`
	Old             []string                `json:"old"`
	Objects         []string                `json:"objects"`
	ByKey           map[string]*string      `json:"by_key"`
	ResourceVersion string                  `json:"resource_version"`
	Indices         map[string]indexContent `json:"indices"`
}

// indexContent has nil where there is no such index.
type indexContent struct {
	Keys    map[string][]string `json:"keys"`
	Objects map[string][]string `json:"objects"`
}

// What is asked for after every operation, as in src/store_traces.rs.
var (
	askedKeys    = []string{"a", "b", "web/a", "web/b", "c"}
	askedIndices = []string{cache.NamespaceIndex, "one", "two", "never"}
)

func runStore(line json.RawMessage) (any, error) {
	var trace storeTrace
	if err := json.Unmarshal(line, &trace); err != nil {
		return nil, err
	}
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	store := cache.NewThreadSafeStore(indexers, cache.Indices{})
	observations := []storeObservation{}
	for _, operation := range trace.Operations {
		failure, old, err := storeStep(store, operation)
		if err != nil {
			return nil, err
		}
		observation := observeStore(store)
		observation.Failed = failure != nil
		observation.Old = sortedTexts(old)
		observations = append(observations, observation)
	}
	return observations, nil
}

// storeStep gives client-go's error, what was stored under the keys that the operation writes, and whether
// the operation makes no sense.
func storeStep(store cache.ThreadSafeStore, operation storeOperation) (failure error, old []any, err error) {
	switch operation.Op {
	case "add", "update", "delete_with_object":
		object, err := parseObject(operation.Object)
		if err != nil {
			return nil, nil, err
		}
		key, err := cache.MetaNamespaceKeyFunc(object)
		if err != nil {
			return nil, nil, err
		}
		old := stored(store, key)
		switch operation.Op {
		case "add":
			store.Add(key, object)
		case "update":
			store.Update(key, object)
		default:
			store.DeleteWithObject(key, object)
		}
		return nil, old, nil
	case "delete":
		old := stored(store, operation.Key)
		store.Delete(operation.Key)
		return nil, old, nil
	case "replace":
		objects, err := parseObjects(operation.Objects)
		if err != nil {
			return nil, nil, err
		}
		items := map[string]any{}
		for _, object := range objects {
			key, err := cache.MetaNamespaceKeyFunc(object)
			if err != nil {
				return nil, nil, err
			}
			items[key] = object
		}
		old := store.List()
		store.Replace(items, operation.ResourceVersion)
		return nil, old, nil
	case "transaction":
		return storeTransaction(store, operation.Changes)
	case "bookmark":
		store.Bookmark(operation.ResourceVersion)
		return nil, nil, nil
	case "add_index":
		indexFunc, err := indexFunc(operation.Func)
		if err != nil {
			return nil, nil, err
		}
		return store.AddIndexers(cache.Indexers{operation.Name: indexFunc}), nil, nil
	default:
		return nil, nil, fmt.Errorf("no such operation: %q", operation.Op)
	}
}

func storeTransaction(store cache.ThreadSafeStore, changes []storeChange) (failure error, old []any, err error) {
	types := map[string]cache.TransactionType{
		"add":    cache.TransactionTypeAdd,
		"update": cache.TransactionTypeUpdate,
		"delete": cache.TransactionTypeDelete,
	}
	// What is stored while the transaction is applied, which nobody can see from outside.
	during := map[string][]any{}
	var transactions []cache.ThreadSafeStoreTransaction
	for _, change := range changes {
		object, err := parseObject(change.Object)
		if err != nil {
			return nil, nil, err
		}
		key, err := cache.MetaNamespaceKeyFunc(object)
		if err != nil {
			return nil, nil, err
		}
		if _, known := during[key]; !known {
			during[key] = stored(store, key)
		}
		old = append(old, during[key]...)
		during[key] = []any{object}
		if change.Op == "delete" {
			during[key] = nil
		}
		transactions = append(transactions, cache.ThreadSafeStoreTransaction{
			Transaction: cache.Transaction{Type: types[change.Op], Object: object},
			Key:         key,
		})
	}
	transactional, ok := store.(cache.ThreadSafeStoreWithTransaction)
	if !ok {
		return nil, nil, errors.New("the store has no transactions")
	}
	transactional.Transaction(transactions...)
	return nil, old, nil
}

func stored(store cache.ThreadSafeStore, key string) []any {
	if object, exists := store.Get(key); exists {
		return []any{object}
	}
	return nil
}

func observeStore(store cache.ThreadSafeStore) storeObservation {
	observation := storeObservation{
		Objects:         sortedTexts(store.List()),
		ByKey:           map[string]*string{},
		ResourceVersion: store.LastStoreSyncResourceVersion(),
		Indices:         map[string]indexContent{},
	}
	for _, key := range askedKeys {
		observation.ByKey[key] = nil
		if object, exists := store.Get(key); exists {
			found := text(object)
			observation.ByKey[key] = &found
		}
	}
	for _, name := range askedIndices {
		index := indexContent{
			Keys:    map[string][]string{},
			Objects: map[string][]string{},
		}
		for _, value := range append(store.ListIndexFuncValues(name), "never") {
			index.Keys[value], index.Objects[value] = nil, nil
			if keys, err := store.IndexKeys(name, value); err == nil {
				index.Keys[value] = keys
			}
			if objects, err := store.ByIndex(name, value); err == nil {
				index.Objects[value] = sortedTexts(objects)
			}
		}
		observation.Indices[name] = index
	}
	return observation
}

// indexFunc gives the function that src/store_traces.rs documents under this name.
func indexFunc(name string) (cache.IndexFunc, error) {
	valueOf := func(obj any) string { return obj.(*object).Annotations[valueAnnotation] }
	switch name {
	case "parts":
		return func(obj any) ([]string, error) {
			isEmpty := func(part string) bool { return part == "" }
			return slices.DeleteFunc(strings.Split(valueOf(obj), ","), isEmpty), nil
		}, nil
	case "length":
		return func(obj any) ([]string, error) { return []string{strconv.Itoa(len(valueOf(obj)))}, nil }, nil
	default:
		return nil, fmt.Errorf("no such index function: %q", name)
	}
}

func sortedTexts(objects []any) []string {
	sorted := texts(objects)
	slices.Sort(sorted)
	return sorted
}
