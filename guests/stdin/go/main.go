// Reports the labels of config maps: a plain program that reads lines and prints lines.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
)

// Line is what is read of a line; the rest is skipped.
type Line struct {
	ID   uint64 `json:"id"`
	Type string `json:"type"`
	Key  struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"key"`
	Object Object `json:"object"`
	Old    Object `json:"old"`
	New    Object `json:"new"`
}

type Object struct {
	Metadata struct {
		Labels json.RawMessage `json:"labels"`
	} `json:"metadata"`
}

type Answer struct {
	ID      uint64  `json:"id"`
	Result  string  `json:"result"`
	Reason  string  `json:"reason,omitempty"`
	Watches []Watch `json:"watches,omitempty"`
}

type Watch struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func main() {
	lines, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var line Line
		if err := lines.Decode(&line); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		answer := handle(line)
		answer.ID = line.ID
		if err := answers.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}

func handle(line Line) Answer {
	name := line.Key.Name
	if line.Key.Namespace != "" {
		name = line.Key.Namespace + "/" + name
	}
	switch line.Type {
	case "init":
		return Answer{Result: "ok", Watches: []Watch{{APIVersion: "v1", Kind: "ConfigMap"}}}
	case "add":
		say("added " + name + " " + line.Object.labels())
		return line.Object.answer()
	case "update":
		if line.Old.labels() != line.New.labels() {
			say("relabelled " + name + " " + line.New.labels())
		}
		return line.New.answer()
	case "delete":
		say("deleted " + name)
	case "synced":
		say("synced")
	}
	return Answer{Result: "ok"}
}

func (object Object) labels() string {
	if object.Metadata.Labels == nil {
		return "none"
	}
	return string(object.Metadata.Labels)
}

// Fine, unless the label `fail` says how to fail.
func (object Object) answer() Answer {
	var labels map[string]string
	if object.Metadata.Labels != nil {
		if err := json.Unmarshal(object.Metadata.Labels, &labels); err != nil {
			log.Fatal(err)
		}
	}
	switch labels["fail"] {
	case "permanent":
		return Answer{Result: "permanent", Reason: "asked to fail"}
	case "trap":
		panic("asked to trap")
	}
	return Answer{Result: "ok"}
}

// A line of the log. What goes to standard error is one as well, at level warn.
func say(message string) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]string{"log": "info", "message": message}); err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(line.Bytes())
}
