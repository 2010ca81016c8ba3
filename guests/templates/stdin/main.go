// Says hello to pods, and tells of their phases: a plain program that reads a line of JSON for each notification, prints
// lines of JSON for the log, and then one for an answer.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
)

// Line is what this program reads of a line; the rest is skipped. wit/STDIN.md has all of it.
type Line struct {
	ID     uint64 `json:"id"`
	Type   string `json:"type"`
	Config Config `json:"config"`
	Key    Key    `json:"key"`
	Object Pod    `json:"object"`
	Old    Pod    `json:"old"`
	New    Pod    `json:"new"`
}

type Config struct {
	Greeting string `json:"greeting"`
}

type Key struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type Pod struct {
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// Answer ends a turn. The result may also be retry or permanent, with a reason.
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

// Message is a line for the log.
type Message struct {
	Level   string `json:"log"`
	Message string `json:"message"`
}

// Greeter keeps what it knows while it runs. It is started again after a failure.
type Greeter struct {
	out      *json.Encoder
	greeting string
}

func main() {
	// Standard output is not buffered: the host sees a line when it is printed.
	if err := serve(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func serve(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(in)
	greeter := Greeter{out: json.NewEncoder(out)}
	for {
		var line Line
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer := greeter.handle(line)
		answer.ID = line.ID
		if err := greeter.out.Encode(answer); err != nil {
			return err
		}
	}
}

func (greeter *Greeter) handle(line Line) Answer {
	switch line.Type {
	case "init":
		greeter.greeting = line.Config.Greeting
		if greeter.greeting == "" {
			greeter.greeting = "hello"
		}
		return Answer{Result: "ok", Watches: []Watch{{APIVersion: "v1", Kind: "Pod"}}}
	case "add":
		greeter.say(greeter.greeting + " " + line.Key.String())
	case "update":
		if before, after := line.Old.Status.Phase, line.New.Status.Phase; before != after {
			greeter.say(line.Key.String() + " is " + after)
		}
	}
	return Answer{Result: "ok"}
}

func (greeter *Greeter) say(message string) {
	greeter.out.Encode(Message{Level: "info", Message: message})
}

func (key Key) String() string {
	if key.Namespace == "" {
		return key.Name
	}
	return key.Namespace + "/" + key.Name
}
