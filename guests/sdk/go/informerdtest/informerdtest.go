//go:build !wasip1

// Package informerdtest is the host of tests, which run on the machine itself with go test.
//
//	host := informerdtest.NewHost(t)
//	pod := host.Object(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}`)
//	handler, _ := newGreeter()
//	handler.OnAdd(pod, false)
//	if log := host.TakeLog(); log[0].Message != "hello web" { … }
//
// It is simpler than the real host: its cache knows every object that the test has made, the newest of a name last, and
// selectors and indices are answered with an error. What it must be exact about, the real host shows:
// informerd dev.
package informerdtest

import (
	"log/slog"
	"testing"

	"informerd.dev/informerd"
	"informerd.dev/informerd/internal/host"
)

// Host is the host of one test. There is one at a time, so such tests are not parallel.
type Host struct {
	t    testing.TB
	host *host.Testing
}

// Line is one line that was logged.
type Line struct {
	Level   slog.Level
	Message string
	Fields  []Field
}

// Field is one named value of a line.
type Field struct{ Name, Value string }

// NewHost makes a host with nothing in it, until the test is over.
func NewHost(t testing.TB) *Host {
	t.Helper()
	if host.Current != nil {
		t.Fatal("informerdtest: another test has a host: do not make such tests parallel")
	}
	host.Current = host.NewTesting()
	t.Cleanup(func() { host.Current = nil })
	return &Host{t, host.Current}
}

// SetConfig sets the handler's configuration, a JSON object.
func (it *Host) SetConfig(json string) {
	it.t.Helper()
	if err := it.host.SetConfig(json); err != nil {
		it.t.Fatalf("informerdtest: %s is no configuration: %v", json, err)
	}
}

// Object makes an object of its manifest, in JSON.
func (it *Host) Object(json string) informerd.Object {
	it.t.Helper()
	ticket, err := it.host.Object(json)
	if err != nil {
		it.t.Fatalf("informerdtest: %s is no object: %v", json, err)
	}
	return host.NewObject(ticket).(informerd.Object)
}

// TakeLog gives what was logged since the last time, oldest first: what went through the default logger of package
// slog, once informerd.Export was called.
func (it *Host) TakeLog() []Line {
	var lines []Line
	for _, line := range it.host.Log {
		taken := Line{Level: levels[line.Level], Message: line.Message}
		for _, field := range line.Fields {
			taken.Fields = append(taken.Fields, Field(field))
		}
		lines = append(lines, taken)
	}
	it.host.Log = nil
	return lines
}

// Field gives the value of this name, nothing if there is none.
func (line Line) Field(name string) string {
	for _, field := range line.Fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

var levels = map[host.Level]slog.Level{
	host.Trace: informerd.LevelTrace,
	host.Debug: slog.LevelDebug,
	host.Info:  slog.LevelInfo,
	host.Warn:  slog.LevelWarn,
	host.Error: slog.LevelError,
}
