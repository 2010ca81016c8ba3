// Command encode_recording writes a recorded watch as an API server sends it to those who ask for protobuf, for
// metadata, or for both.
//
// It reads events of Pods as JSON, one in a line; it writes what goes over the wire, without HTTP, with the
// serializers that the API server itself uses.
//
//	encode_recording -json FILE -protobuf FILE -metadata-json FILE -metadata-protobuf FILE
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	restclientwatch "k8s.io/client-go/rest/watch"
)

// A recording is one of the files that are written.
type recording struct {
	file     *os.File
	buffer   *bufio.Writer
	encoder  *restclientwatch.Encoder
	metadata bool
}

func create(path string, asProtobuf, metadata bool) (*recording, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	var encoder *restclientwatch.Encoder
	if asProtobuf {
		encoder = restclientwatch.NewEncoder(
			streaming.NewEncoder(
				protobuf.LengthDelimitedFramer.NewFrameWriter(buffer),
				protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme),
			),
			protobuf.NewSerializer(scheme.Scheme, scheme.Scheme),
		)
	} else {
		serializer := jsonserializer.NewSerializerWithOptions(
			jsonserializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, jsonserializer.SerializerOptions{},
		)
		encoder = restclientwatch.NewEncoder(
			streaming.NewEncoder(jsonserializer.Framer.NewFrameWriter(buffer), serializer), serializer,
		)
	}
	return &recording{file, buffer, encoder, metadata}, nil
}

func (r *recording) write(event watch.Event) error {
	if pod, ok := event.Object.(*corev1.Pod); ok && r.metadata {
		partial := meta.AsPartialObjectMetadata(pod)
		partial.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
		event.Object = partial
	}
	return r.encoder.Encode(&event)
}

func (r *recording) close() error {
	return errors.Join(r.buffer.Flush(), r.file.Close())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "encode_recording: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	from := flag.String("json", "", "the recording")
	protobufs := flag.String("protobuf", "", "where it is written to as protobuf")
	metadataJSON := flag.String("metadata-json", "", "where its metadata is written to as JSON")
	metadataProtobuf := flag.String("metadata-protobuf", "", "where its metadata is written to as protobuf")
	flag.Parse()
	source, err := os.Open(*from)
	if err != nil {
		return err
	}
	defer source.Close()
	var recordings []*recording
	for _, it := range []struct {
		path                 string
		asProtobuf, metadata bool
	}{{*protobufs, true, false}, {*metadataJSON, false, true}, {*metadataProtobuf, true, true}} {
		recording, err := create(it.path, it.asProtobuf, it.metadata)
		if err != nil {
			return err
		}
		recordings = append(recordings, recording)
	}
	events := bufio.NewReaderSize(source, 1<<20)
	for {
		line, err := events.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		event, err := decode(line)
		if err != nil {
			return fmt.Errorf("%s: %w", *from, err)
		}
		for _, recording := range recordings {
			if err := recording.write(event); err != nil {
				return err
			}
		}
	}
	for _, recording := range recordings {
		if err := recording.close(); err != nil {
			return err
		}
	}
	return nil
}

// decode takes an event of a Pod, or the error that ends a watch.
func decode(line []byte) (watch.Event, error) {
	var recorded struct {
		Type   watch.EventType `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &recorded); err != nil {
		return watch.Event{}, err
	}
	var object runtime.Object = &corev1.Pod{}
	if recorded.Type == watch.Error {
		object = &metav1.Status{}
	}
	if err := json.Unmarshal(recorded.Object, object); err != nil {
		return watch.Event{}, err
	}
	return watch.Event{Type: recorded.Type, Object: object}, nil
}
