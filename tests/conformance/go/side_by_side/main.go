// Command side_by_side runs client-go's dynamic informers, as it has them by default, on a real API server.
//
// It prints a line of JSON for each call of a handler, for the end of the initial lists and, for each
// `dump` on standard input, for each cache. It ends with its standard input.
//
//	side_by_side -kubeconfig FILE [-server URL] -namespace default configmaps.v1. widgets.v1.test.informerd.dev
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// A line is what happened. A field that does not apply is left out.
type line struct {
	// `add`, `update`, `delete`, `synced` or `cache`.
	What string `json:"what"`
	// When a handler was entered, in microseconds since 1970.
	At       int64  `json:"at,omitempty"`
	Resource string `json:"resource,omitempty"`
	Key      string `json:"key,omitempty"`
	// The new state's, or the last one's in a deletion.
	UID string `json:"uid,omitempty"`
	RV  string `json:"rv,omitempty"`
	// The old state's in an update.
	OldUID string `json:"old_uid,omitempty"`
	OldRV  string `json:"old_rv,omitempty"`
	// In the initial list.
	Initial bool `json:"initial,omitempty"`
	// A deletion that was found out by a list.
	Tombstone bool `json:"tombstone,omitempty"`
	// Of a cache: key to uid and version.
	Objects map[string][2]string `json:"objects,omitempty"`
	// Of a cache: the version that it is at.
	StoreRV string `json:"store_rv,omitempty"`
	// Of a cache: how often the server began to answer with the whole collection.
	Lists int64 `json:"lists,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "side_by_side: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "the server and who asks")
	server := flag.String("server", "", "its URL, if it is not the kubeconfig's")
	namespace := flag.String("namespace", "", "whose objects; all if it is empty")
	flag.Parse()
	if *kubeconfig == "" || flag.NArg() == 0 {
		return errors.New("-kubeconfig FILE and at least one resource.version.group are needed")
	}
	config, err := clientcmd.BuildConfigFromFlags(*server, *kubeconfig)
	if err != nil {
		return err
	}
	lists := newListCounter(config)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, *namespace, nil)
	informers := map[string]cache.SharedIndexInformer{}
	var synced []cache.InformerSynced
	for _, argument := range flag.Args() {
		resource, _ := schema.ParseResourceArg(argument)
		if resource == nil {
			return fmt.Errorf("%q is not resource.version.group", argument)
		}
		informer := factory.ForResource(*resource).Informer()
		registration, err := informer.AddEventHandler(printer{resource.Resource})
		if err != nil {
			return err
		}
		informers[resource.Resource] = informer
		synced = append(synced, registration.HasSynced)
	}
	context, stop := context.WithCancel(context.Background())
	defer stop()
	factory.Start(context.Done())
	go func() {
		if cache.WaitForCacheSync(context.Done(), synced...) {
			print(line{What: "synced"})
		}
	}()
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		if command := commands.Text(); command != "dump" {
			return fmt.Errorf("there is no command %q", command)
		}
		for resource, informer := range informers {
			print(dump(resource, informer, lists.of(resource)))
		}
	}
	return commands.Err()
}

// printer prints what a handler of one resource is told.
type printer struct {
	resource string
}

// OnAdd implements [cache.ResourceEventHandler].
func (p printer) OnAdd(object any, isInInitialList bool) {
	added := p.line("add", object)
	added.Initial = isInInitialList
	print(added)
}

// OnUpdate implements [cache.ResourceEventHandler].
func (p printer) OnUpdate(old, object any) {
	updated, before := p.line("update", object), p.line("", old)
	updated.OldUID, updated.OldRV = before.UID, before.RV
	print(updated)
}

// OnDelete implements [cache.ResourceEventHandler].
func (p printer) OnDelete(object any) {
	unknown, isTombstone := object.(cache.DeletedFinalStateUnknown)
	if isTombstone {
		object = unknown.Obj
	}
	deleted := p.line("delete", object)
	deleted.Tombstone = isTombstone
	print(deleted)
}

func (p printer) line(what string, object any) line {
	told := line{What: what, At: time.Now().UnixMicro(), Resource: p.resource}
	if object, ok := object.(*unstructured.Unstructured); ok {
		told.Key = cache.MetaObjectToName(object).String()
		told.UID, told.RV = string(object.GetUID()), object.GetResourceVersion()
	}
	return told
}

func dump(resource string, informer cache.SharedIndexInformer, lists int64) line {
	store := informer.GetStore()
	objects := map[string][2]string{}
	for _, object := range store.List() {
		if object, ok := object.(*unstructured.Unstructured); ok {
			key := cache.MetaObjectToName(object).String()
			objects[key] = [2]string{string(object.GetUID()), object.GetResourceVersion()}
		}
	}
	return line{
		What: "cache", Resource: resource, Objects: objects, Lists: lists,
		StoreRV: store.LastStoreSyncResourceVersion(),
	}
}

var (
	printing sync.Mutex
	out      = json.NewEncoder(os.Stdout)
)

// print ends the process if nobody reads.
func print(line line) {
	printing.Lock()
	defer printing.Unlock()
	if err := out.Encode(line); err != nil {
		fmt.Fprintf(os.Stderr, "side_by_side: cannot print: %v\n", err)
		os.Exit(1)
	}
}
