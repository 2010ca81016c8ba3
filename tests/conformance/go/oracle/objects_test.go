package oracle

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Where an object's value stands: what a transform changes and an index is over.
const valueAnnotation = "value"

type object = metav1.PartialObjectMetadata

// parseObject reads an object written as src/objects.rs says: [namespace/]name[#n]@version[=value].
func parseObject(text string) (*object, error) {
	uid, rest, found := strings.Cut(text, "@")
	if !found {
		return nil, fmt.Errorf("an object is written as name@version, not as %q", text)
	}
	version, value, _ := strings.Cut(rest, "=")
	key, _, _ := strings.Cut(uid, "#")
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil, err
	}
	return &object{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Thing"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       namespace,
			Name:            name,
			UID:             types.UID(uid),
			ResourceVersion: version,
			Annotations:     map[string]string{valueAnnotation: value},
		},
	}, nil
}

func parseObjects(texts []string) ([]any, error) {
	objects := make([]any, 0, len(texts))
	for _, text := range texts {
		object, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// text writes an object as parseObject reads it.
func text(obj any) string {
	object, ok := obj.(*object)
	if !ok {
		return fmt.Sprintf("%T", obj)
	}
	text := fmt.Sprintf("%s@%s", object.UID, object.ResourceVersion)
	if value := object.Annotations[valueAnnotation]; value != "" {
		text += "=" + value
	}
	return text
}

func texts(objects []any) []string {
	texts := make([]string, 0, len(objects))
	for _, object := range objects {
		texts = append(texts, text(object))
	}
	return texts
}
