// Package oracle runs traces through client-go: one JSON trace per line of standard input, one JSON
// answer per line of standard output, in the same order.
//
// The answer is {"observations": [...]} with what the trace's kind observes, {"panic": "..."} if
// client-go panicked, or {"error": "..."} if the trace cannot be run.
//
// It is a test because the virtual time of testing/synctest exists only in tests.
package oracle

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
)

// Answers are all that is printed there; whatever else would print goes to standard error.
var answers = os.Stdout

func init() {
	os.Stdout = os.Stderr
}

// What happened; each kind of trace has observations of its own.
type answer struct {
	Observations any    `json:"observations,omitempty"`
	Panic        string `json:"panic,omitempty"`
	Error        string `json:"error,omitempty"`
}

// TestOracle answers until standard input ends.
func TestOracle(t *testing.T) {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(answers)
	out.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		if err := out.Encode(run(t, line)); err != nil {
			t.Fatalf("cannot answer: %v", err)
		}
	}
}

func run(t *testing.T, line []byte) (result answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", panicked, debug.Stack())
			result = answer{Panic: fmt.Sprint(panicked)}
		}
	}()
	var header struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(line, &header); err != nil {
		return answer{Error: fmt.Sprintf("not a trace: %v", err)}
	}
	setFeatureGates(nil)
	var observations any
	var err error
	switch header.Kind {
	case "queue":
		observations, err = runQueue(line)
	case "store":
		observations, err = runStore(line)
	case "informer":
		observations, err = runInformer(t, line)
	default:
		err = fmt.Errorf("no such kind of trace: %q", header.Kind)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Observations: observations}
}
