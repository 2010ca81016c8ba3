package informerd_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"informerd.dev/informerd"
	"informerd.dev/informerd/informerdtest"
	contract "informerd.dev/informerd/internal/host"
)

// fails with what it is told.
type fails struct {
	informerd.NopHandler
	err error
}

func (it fails) OnAdd(object informerd.Object, isInInitialList bool) error {
	slog.Info("added", "key", object.Key(), "initial", isInInitialList)
	return it.err
}

// export makes a module that fails so.
func export(err error) *contract.Module {
	watch := informerd.Watch{APIVersion: "apps/v1", Kind: "Deployment", Namespaces: []string{"demo"}}
	informerd.Export(
		func() []informerd.Watch { return []informerd.Watch{watch} },
		func() (fails, error) { return fails{err: err}, nil },
	)
	return contract.Exported
}

const pod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "demo", "name": "web", "uid": "u",
	"resourceVersion": "7"}, "spec": {"text": "ü<\u00e9", "a/b~c": [null, 2]}}`

func TestWatchesAreThoseOfTheContract(t *testing.T) {
	expected := []contract.Watch{{APIVersion: "apps/v1", Kind: "Deployment", Namespaces: []string{"demo"}}}
	if watches := export(nil).Watches(); !reflect.DeepEqual(watches, expected) {
		t.Errorf("%+v", watches)
	}
	informerd.Export(nil, func() (fails, error) { return fails{}, nil })
	if watches := contract.Exported.Watches(); len(watches) != 0 {
		t.Errorf("%+v", watches)
	}
}

func TestFailuresAreThoseOfTheContract(t *testing.T) {
	informerdtest.NewHost(t)
	after := func(ms uint32) *uint32 { return &ms }
	plain := errors.New("later")
	for _, it := range []struct {
		err      error
		expected *contract.Failure
	}{
		{nil, nil},
		{plain, &contract.Failure{Reason: "later"}},
		{informerd.Permanent(plain), &contract.Failure{Reason: "later", IsPermanent: true}},
		{informerd.RetryAfter(5*time.Second, plain), &contract.Failure{Reason: "later", AfterMS: after(5000)}},
		{informerd.RetryAfter(time.Nanosecond, plain), &contract.Failure{Reason: "later", AfterMS: after(1)}},
		{informerd.RetryAfter(math.MaxInt64, plain), &contract.Failure{Reason: "later", AfterMS: after(86_400_000)}},
		{
			fmt.Errorf("web: %w", informerd.Permanent(plain)),
			&contract.Failure{Reason: "web: later", IsPermanent: true},
		},
		{
			errors.Join(errors.New("web"), informerd.Permanent(plain)),
			&contract.Failure{Reason: "web\nlater", IsPermanent: true},
		},
		{informerd.Permanent(nil), nil},
		{informerd.RetryAfter(time.Second, nil), nil},
		{
			informerd.RetryAfter(time.Second, informerd.Permanent(plain)),
			&contract.Failure{Reason: "later", AfterMS: after(1000)},
		},
	} {
		module := export(it.err)
		if err := module.Init(); err != nil {
			t.Fatal(err)
		}
		if failure := module.OnAdd(contract.Key{Name: "web"}, 0, true); !reflect.DeepEqual(failure, it.expected) {
			t.Errorf("%v gave %+v", it.err, failure)
		}
	}
	if !errors.Is(informerd.Permanent(plain), plain) || !errors.Is(informerd.RetryAfter(1, plain), plain) {
		t.Error("the error is wrapped")
	}
}

func TestWhatIsLeftOutDoesNothing(t *testing.T) {
	host := informerdtest.NewHost(t)
	module := export(errors.New("not asked"))
	module.Init()
	if module.OnSynced() != nil || len(host.TakeLog()) != 0 {
		t.Error("it did something")
	}
}

func TestARefusedConfigurationIsAnError(t *testing.T) {
	informerd.Export(nil, func() (*fails, error) { return nil, errors.New("no") })
	if err := contract.Exported.Init(); err == nil || err.Error() != "no" {
		t.Error(err)
	}
}

func TestObjects(t *testing.T) {
	host := informerdtest.NewHost(t)
	object := host.Object(pod)
	for _, it := range []struct{ pointer, json, text string }{
		{"/spec/text", `"ü<\u00e9"`, "ü<é"},
		{"/spec/a~1b~0c", "[null,2]", ""},
		{"/spec/a~1b~0c/0", "null", ""},
		{"/spec/a~1b~0c/01", "", ""},
		{"/spec/a~1b~0c/2", "", ""},
		{"/spec/none", "", ""},
		{"spec", "", ""},
	} {
		json, isThere := object.Get(it.pointer)
		text, isText := object.GetString(it.pointer)
		if json != it.json || isThere != (it.json != "") || text != it.text || isText != (it.text != "") {
			t.Errorf("%s: %s %q", it.pointer, json, text)
		}
	}
	expected := informerd.Key{Version: "v1", Kind: "Pod", Namespace: "demo", Name: "web", UID: "u", ResourceVersion: "7"}
	if key := object.Key(); key != expected || key.String() != "demo/web" || key.APIVersion() != "v1" {
		t.Error(key)
	}
	node := informerd.Key{Group: "apps", Version: "v1", Name: "n"}
	if node.String() != "n" || node.APIVersion() != "apps/v1" {
		t.Error(node)
	}
	var typed struct{ Spec struct{ Text string } }
	if err := object.Unmarshal(&typed); err != nil || typed.Spec.Text != "ü<é" {
		t.Error(err, typed)
	}
	var wrong struct{ Spec int }
	module := export(object.Unmarshal(&wrong))
	module.Init()
	failure := module.OnAdd(contract.Key{}, 0, false)
	if !failure.IsPermanent || !strings.HasPrefix(failure.Reason, "demo/web is not as expected: ") {
		t.Errorf("%+v", failure)
	}
}

func TestConfig(t *testing.T) {
	host := informerdtest.NewHost(t)
	if informerd.Config.JSON() != "{}" {
		t.Error(informerd.Config.JSON())
	}
	host.SetConfig(`{"a": [1, "ü"], "b/c": "text"}`)
	list, isThere := informerd.Config.Get("a")
	if list != `[1,"ü"]` || !isThere {
		t.Error(list)
	}
	if text, ok := informerd.Config.GetString("b/c"); text != "text" || !ok {
		t.Error(text)
	}
	if _, ok := informerd.Config.GetString("a"); ok {
		t.Error("a list is no string")
	}
	if _, ok := informerd.Config.Get("c"); ok {
		t.Error("there is no c")
	}
	var typed struct{ A string }
	if err := informerd.Config.Unmarshal(&typed); err == nil || !strings.HasPrefix(err.Error(), "config: ") {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	host := informerdtest.NewHost(t)
	export(nil)
	slog.Log(t.Context(), informerd.LevelTrace, "a", "n", 1, "yes", true, "f", 1.5, "text", "ü\n")
	slog.With("of", "logger").WithGroup("g").Warn("b", "list", []string{"<"}, "err", errors.New("no"),
		slog.Group("h", "d", time.Second))
	slog.Debug("c")
	slog.Error("d")
	expected := []informerdtest.Line{
		{Level: informerd.LevelTrace, Message: "a", Fields: []informerdtest.Field{
			{Name: "n", Value: "1"}, {Name: "yes", Value: "true"}, {Name: "f", Value: "1.5"}, {Name: "text", Value: "ü\n"},
		}},
		{Level: slog.LevelWarn, Message: "b", Fields: []informerdtest.Field{
			{Name: "of", Value: "logger"}, {Name: "g.list", Value: `["<"]`}, {Name: "g.err", Value: "no"},
			{Name: "g.h.d", Value: "1s"},
		}},
		{Level: slog.LevelDebug, Message: "c"},
		{Level: slog.LevelError, Message: "d"},
	}
	if log := host.TakeLog(); !reflect.DeepEqual(log, expected) {
		t.Errorf("%+v", log)
	}
	if log := host.TakeLog(); len(log) != 0 || expected[0].Field("yes") != "true" {
		t.Error("what was taken is gone")
	}
}

func TestCache(t *testing.T) {
	host := informerdtest.NewHost(t)
	for _, name := range []string{"c", "a", "b"} {
		host.Object(strings.ReplaceAll(pod, "web", name))
	}
	host.Object(strings.ReplaceAll(pod, "demo", "other"))
	newest := host.Object(strings.ReplaceAll(strings.ReplaceAll(pod, "web", "a"), `"7"`, `"8"`))

	var names []string
	var before []informerd.Object
	for page, err := range informerd.Cache.Pages("v1", "Pod", informerd.ListOptions{PageSize: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range before {
			mustPanic(t, func() { object.JSON() })
		}
		for _, object := range page {
			names = append(names, object.Key().String())
		}
		before = page
	}
	if expected := []string{"demo/a", "demo/b", "demo/c", "other/web"}; !reflect.DeepEqual(names, expected) {
		t.Error(names)
	}
	for page := range informerd.Cache.Pages("v1", "Pod", informerd.ListOptions{Namespace: "demo", PageSize: 1}) {
		before = page
		break
	}
	mustPanic(t, func() { before[0].Get("/a") })

	if found, ok := informerd.Cache.Get("v1", "Pod", "demo", "a"); !ok || found.Key() != newest.Key() {
		t.Error(found.Key())
	}
	if _, ok := informerd.Cache.Get("v1", "Pod", "other", "a"); ok {
		t.Error("it is in another namespace")
	}
	for _, err := range informerd.Cache.PagesByIndex("v1", "Pod", "owner", "u", 0) {
		module := export(err)
		module.Init()
		failure := module.OnAdd(contract.Key{}, 0, false)
		if !failure.IsPermanent || failure.Reason != "the host of tests has no indices" {
			t.Errorf("%+v", failure)
		}
	}
}

func mustPanic(t *testing.T, call func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("it can be read for ever")
		}
	}()
	call()
}
