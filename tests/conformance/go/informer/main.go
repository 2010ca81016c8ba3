// Command informer is the peer of `tests/bench`: one of client-go's shared informers on all Pods, as client-go has
// it by default, with one handler that counts.
//
// It prints `synced`, `delivered` and `relisted` when the handler has had every Pod, every update, and every change
// that only a list can tell. Then it waits to be ended.
//
//	informer -kubeconfig FILE -mode dynamic -pods 1000 -updates 5000 -unseen 100
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

var pods = corev1.SchemeGroupVersion.WithResource("pods")

// modes are what an object becomes, and what it comes as.
var modes = map[string]func(*rest.Config) (cache.SharedIndexInformer, error){
	"dynamic": func(config *rest.Config) (cache.SharedIndexInformer, error) {
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return dynamicinformer.NewDynamicSharedInformerFactory(client, 0).ForResource(pods).Informer(), nil
	},
	"typed-json":     typed(runtime.ContentTypeJSON),
	"typed-protobuf": typed(runtime.ContentTypeProtobuf),
	// It asks for protobuf on its own.
	"metadata": func(config *rest.Config) (cache.SharedIndexInformer, error) {
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return metadatainformer.NewSharedInformerFactory(client, 0).ForResource(pods).Informer(), nil
	},
}

func typed(contentType string) func(*rest.Config) (cache.SharedIndexInformer, error) {
	return func(config *rest.Config) (cache.SharedIndexInformer, error) {
		config.ContentType = contentType
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return informers.NewSharedInformerFactory(client, 0).Core().V1().Pods().Informer(), nil
	}
}

// counter is the handler. client-go calls it from one goroutine.
type counter struct {
	pods, updates, unseen int
	added, updated        int
}

// OnAdd implements [cache.ResourceEventHandler].
func (c *counter) OnAdd(any, bool) {
	c.added++
	if c.added == c.pods {
		fmt.Println("synced")
	}
}

// OnUpdate implements [cache.ResourceEventHandler].
func (c *counter) OnUpdate(any, any) {
	c.updated++
	switch c.updated {
	case c.updates:
		fmt.Println("delivered")
	case c.updates + c.unseen:
		fmt.Println("relisted")
	}
}

// OnDelete implements [cache.ResourceEventHandler].
func (c *counter) OnDelete(any) {
	fmt.Println("nothing is ever deleted")
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "informer: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	var handler counter
	kubeconfig := flag.String("kubeconfig", "", "the server and who asks")
	mode := flag.String("mode", "", "dynamic, typed-json, typed-protobuf or metadata")
	flag.IntVar(&handler.pods, "pods", 0, "how many there are")
	flag.IntVar(&handler.updates, "updates", 0, "how many updates follow")
	flag.IntVar(&handler.unseen, "unseen", 0, "how many Pods then change while nobody watches")
	flag.Parse()
	newInformer, ok := modes[*mode]
	if !ok {
		return fmt.Errorf("there is no mode %q", *mode)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	informer, err := newInformer(config)
	if err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(&handler); err != nil {
		return err
	}
	informer.RunWithContext(context.Background())
	return nil
}
