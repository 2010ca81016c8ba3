package main

// The audit trail's logic. That it is the same in every language is shown by the conformance suite.

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"informerd.dev/informerd"
	"informerd.dev/informerd/informerdtest"
)

// started gives a handler that has said that it is ready. config: what it has beside report.
func started(t *testing.T, config string) (*informerdtest.Host, *audit) {
	host := informerdtest.NewHost(t)
	host.SetConfig(`{"kind": "Node", "report": ["/spec/a", "/spec/ü"]` + config + `}`)
	audit, err := newAudit()
	if err != nil {
		t.Fatal(err)
	}
	host.TakeLog()
	return host, audit
}

func node(host *informerdtest.Host, resourceVersion, spec string) informerd.Object {
	return host.Object(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata":
		{"name": "n-1", "uid": "u-1", "resourceVersion": %q, "labels": {"a": "ü"}}, "spec": %s}`, resourceVersion, spec))
}

func asked(host *informerdtest.Host, resourceVersion, request string) informerd.Object {
	return host.Object(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata":
		{"name": "n-1", "uid": "u-1", "resourceVersion": %q,
		"annotations": {"audit.informerd.dev/fail": %s}}}`, resourceVersion, request))
}

// expect compares what was logged with one line: level, message, and names and values in turn.
func expect(t *testing.T, host *informerdtest.Host, level slog.Level, message string, fields ...string) {
	t.Helper()
	expected := informerdtest.Line{Level: level, Message: message}
	for i := 0; i < len(fields); i += 2 {
		expected.Fields = append(expected.Fields, informerdtest.Field{Name: fields[i], Value: fields[i+1]})
	}
	if log := host.TakeLog(); !reflect.DeepEqual(log, []informerdtest.Line{expected}) {
		t.Errorf("%+v instead of %+v", log, expected)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestReady(t *testing.T) {
	host := informerdtest.NewHost(t)
	host.SetConfig(`{"report": ["/a"], "page": 5}`)
	_, err := newAudit()
	ok(t, err)
	expect(t, host, slog.LevelDebug, "ready", "pointers", "1", "page", "5")
}

func TestAdded(t *testing.T) {
	host, audit := started(t, "")
	object := node(host, "7", `{"a": ["ü"]}`)
	ok(t, audit.OnAdd(object, true))
	expect(t, host, slog.LevelInfo, "added n-1", "seq", "1", "uid", "u-1", "resourceVersion", "7", "initial", "true",
		"bytes", fmt.Sprint(len(object.JSON())), "labels", "1", "/spec/a", `["ü"]`, "/spec/ü", "absent")
}

func TestUpdated(t *testing.T) {
	host, audit := started(t, "")
	old, new := node(host, "7", `{"a": 1}`), node(host, "8", `{"a": null, "ü": "x"}`)
	ok(t, audit.OnUpdate(old, new))
	expect(t, host, slog.LevelInfo, "updated n-1", "seq", "1", "uid", "u-1", "resourceVersion", "8", "newest", "true",
		"bytes", fmt.Sprint(len(new.JSON())), "labels", "1", "/spec/a", "1 -> null", "/spec/ü", `absent -> "x"`)
}

func TestUnchanged(t *testing.T) {
	host, audit := started(t, "")
	old, new := node(host, "7", `{"a": 1}`), node(host, "8", `{"a": 1, "b": 2}`)
	node(host, "9", "{}")
	ok(t, audit.OnUpdate(old, new))
	expect(t, host, slog.LevelDebug, "unchanged n-1", "seq", "1", "uid", "u-1", "resourceVersion", "8",
		"newest", "false", "bytes", fmt.Sprint(len(new.JSON())), "labels", "1")
}

func TestDeleted(t *testing.T) {
	host, audit := started(t, `, "detail": "fields"`)
	ok(t, audit.OnDelete(node(host, "7", `{"ü": "`+strings.Repeat("é", 128)+`"}`), true))
	expect(t, host, slog.LevelInfo, "deleted n-1", "seq", "1", "uid", "u-1", "resourceVersion", "7",
		"finalStateUnknown", "true", "/spec/a", "absent", "/spec/ü", "(258 bytes)")
}

func TestSynced(t *testing.T) {
	host, audit := started(t, `, "page": 2`)
	for _, name := range []string{"a", "b", "c"} {
		host.Object(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "` + name + `"}}`)
	}
	host.Object(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}`)
	ok(t, audit.OnSynced())
	expect(t, host, slog.LevelInfo, "synced", "seq", "1", "objects", "3", "pages", "2")
}

func TestKeyOnly(t *testing.T) {
	host, audit := started(t, `, "detail": "key"`)
	ok(t, audit.OnUpdate(asked(host, "7", `"trap"`), asked(host, "8", `"permanent"`)))
	expect(t, host, slog.LevelInfo, "updated n-1", "seq", "1", "uid", "u-1", "resourceVersion", "8")
}

func TestRetriesAreCountedByState(t *testing.T) {
	host, audit := started(t, "")
	for _, state := range []string{"7", "8"} {
		object := asked(host, state, `"retry 2"`)
		for time := 1; time <= 2; time++ {
			err := audit.OnAdd(object, false)
			if err == nil || err.Error() != fmt.Sprintf("asked to fail, %d of 2", time) {
				t.Errorf("%s: %v", state, err)
			}
		}
		ok(t, audit.OnAdd(object, false))
	}
	if log := host.TakeLog(); len(log) != 2 || log[1].Field("seq") != "2" {
		t.Errorf("a failure is not counted: %v", log)
	}
}

func TestPermanentAndTrap(t *testing.T) {
	host, audit := started(t, "")
	err := audit.OnDelete(asked(host, "7", `"permanent"`), false)
	if !reflect.DeepEqual(err, informerd.Permanent(errors.New("asked to fail for good"))) {
		t.Error(err)
	}
	defer func() {
		if text := recover(); text != "asked to trap" {
			t.Error(text)
		}
	}()
	ok(t, audit.OnUpdate(node(host, "6", "{}"), asked(host, "7", `"trap"`)))
	t.Error("it goes on")
}

func TestAnythingElseIsIgnored(t *testing.T) {
	host, audit := started(t, "")
	for _, request := range []string{`""`, `"retry"`, `"retry 0"`, `"retry 10"`, `"retry 1 "`, `"Trap"`, "1", "null"} {
		ok(t, audit.OnAdd(asked(host, "7", request), false))
		if log := host.TakeLog(); len(log) != 1 || log[0].Message != "added n-1" {
			t.Errorf("%s: %v", request, log)
		}
	}
}

func TestConfig(t *testing.T) {
	many := strings.Repeat(`"/a",`, 16)
	for config, expected := range map[string]error{
		`{}`:                                               errReport,
		`{"report": "/a", "page": 0}`:                      errReport,
		`{"report": []}`:                                   errReport,
		`{"report": [` + many + `"/a"]}`:                   errReport,
		`{"report": [` + many[:79] + `]}`:                  nil,
		`{"report": ["/a", null]}`:                         errReport,
		`{"report": ["/a", 1]}`:                            errReport,
		`{"report": ["a"]}`:                                errReport,
		`{"report": ["/\""]}`:                              errReport,
		`{"report": ["/\n"]}`:                              errReport,
		`{"report": ["/größe/,]["]}`:                       nil,
		`{"report": ["/a"], "detail": ""}`:                 errDetail,
		`{"report": ["/a"], "detail": null}`:               errDetail,
		`{"report": ["/a"], "page": 0}`:                    errPage,
		`{"report": ["/a"], "page": 501}`:                  errPage,
		`{"report": ["/a"], "page": 1e2}`:                  errPage,
		`{"report": ["/a"], "page": "2"}`:                  errPage,
		`{"report": ["/a"], "page": null}`:                 errPage,
		`{"report": ["/a"], "page": 99999999999999999999}`: errPage,
		`{"report": ["/a"], "page": 500}`:                  nil,
	} {
		t.Run(config, func(t *testing.T) {
			informerdtest.NewHost(t).SetConfig(config)
			if _, err := newAudit(); err != expected {
				t.Error(err)
			}
		})
	}
}

func TestWatched(t *testing.T) {
	host := informerdtest.NewHost(t)
	if expected := []informerd.Watch{{APIVersion: "v1", Kind: "Pod"}}; !reflect.DeepEqual(watches(), expected) {
		t.Error(watches())
	}
	host.SetConfig(`{"apiVersion": "apps/v1", "kind": "Deployment"}`)
	if expected := []informerd.Watch{{APIVersion: "apps/v1", Kind: "Deployment"}}; !reflect.DeepEqual(watches(), expected) {
		t.Error(watches())
	}
}
