//go:build !wasip1

package host

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Testing is the host of tests. Its objects are spelled as the test spells them, without spaces.
type Testing struct {
	config string
	Log    []Line
	// By ticket; nil for those that were given back.
	states []*state
	// What the cache has, oldest first.
	made []*state
}

// Line is one line that was logged.
type Line struct {
	Level   Level
	Message string
	Fields  []Field
}

// Current is the host of the running test.
var Current *Testing

type state struct {
	json string
	key  Key
}

// NewTesting makes a host with nothing in it.
func NewTesting() *Testing { return &Testing{config: "{}"} }

// SetConfig sets the handler's configuration.
func (it *Testing) SetConfig(text string) error {
	var members map[string]any
	var plain bytes.Buffer
	if err := cmp.Or(json.Unmarshal([]byte(text), &members), json.Compact(&plain, []byte(text))); err != nil {
		return err
	}
	it.config = plain.String()
	return nil
}

// Object makes an object, which the cache has from now on.
func (it *Testing) Object(text string) (Ticket, error) {
	var object struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct{ Namespace, Name, UID, ResourceVersion string }
	}
	var plain bytes.Buffer
	if err := cmp.Or(json.Unmarshal([]byte(text), &object), json.Compact(&plain, []byte(text))); err != nil {
		return 0, err
	}
	about := object.Metadata
	if object.APIVersion == "" || object.Kind == "" || about.Name == "" {
		return 0, errors.New("it needs apiVersion, kind and metadata.name")
	}
	group, version, isGrouped := strings.Cut(object.APIVersion, "/")
	if !isGrouped {
		group, version = "", object.APIVersion
	}
	key := Key{group, version, object.Kind, about.Namespace, about.Name, about.UID, about.ResourceVersion}
	made := &state{plain.String(), key}
	it.made = append(it.made, made)
	return it.ticket(made), nil
}

func (it *Testing) ticket(of *state) Ticket {
	it.states = append(it.states, of)
	return Ticket(len(it.states) - 1)
}

func (it *Testing) state(object Ticket) *state {
	if int(object) >= len(it.states) || it.states[object] == nil {
		panic(fmt.Sprintf("ticket %d is not valid any more: the real host traps", object))
	}
	return it.states[object]
}

// newest gives the objects of a kind, by namespace and name.
func (it *Testing) newest(apiVersion, kind string) []*state {
	newest := map[[2]string]*state{}
	for _, made := range it.made {
		key := made.key
		if key.Kind == kind && strings.TrimPrefix(key.Group+"/"+key.Version, "/") == apiVersion {
			newest[[2]string{key.Namespace, key.Name}] = made
		}
	}
	var states []*state
	for _, state := range newest {
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b *state) int {
		return cmp.Or(cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
	})
	return states
}

// at gives the JSON text at a pointer.
func at(text, pointer string) (string, bool) {
	if pointer == "" {
		return text, true
	}
	steps := strings.Split(pointer, "/")
	if steps[0] != "" {
		return "", false
	}
	for _, step := range steps[1:] {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var members map[string]json.RawMessage
		var items []json.RawMessage
		if json.Unmarshal([]byte(text), &members) == nil && members != nil {
			member, ok := members[step]
			if !ok {
				return "", false
			}
			text = string(member)
		} else if json.Unmarshal([]byte(text), &items) == nil {
			index, err := strconv.Atoi(step)
			if err != nil || index < 0 || index >= len(items) || strconv.Itoa(index) != step {
				return "", false
			}
			text = string(items[index])
		} else {
			return "", false
		}
	}
	return text, true
}

func stringAt(text, pointer string) (string, bool) {
	value, ok := at(text, pointer)
	if !ok || !strings.HasPrefix(value, `"`) {
		return "", false
	}
	var plain string
	err := json.Unmarshal([]byte(value), &plain)
	return plain, err == nil
}

func current() *Testing {
	if Current == nil {
		panic("there is no host: a test begins with informerdtest.NewHost(t)")
	}
	return Current
}

// What a module imports, as the host of tests answers it.

func ObjectKey(object Ticket) Key { return current().state(object).key }
func JSON(object Ticket) string   { return current().state(object).json }
func ConfigJSON() string          { return current().config }

func Get(object Ticket, pointer string) (string, bool) {
	return at(JSON(object), pointer)
}

func GetString(object Ticket, pointer string) (string, bool) {
	return stringAt(JSON(object), pointer)
}

func ConfigGet(name string) (string, bool) {
	return at(ConfigJSON(), pointerTo(name))
}

func ConfigGetString(name string) (string, bool) {
	return stringAt(ConfigJSON(), pointerTo(name))
}

func pointerTo(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func Log(level Level, message string, fields []Field) {
	host := current()
	host.Log = append(host.Log, Line{level, message, fields})
}

func CacheGet(apiVersion, kind, namespace, name string) (Ticket, bool) {
	for _, state := range current().newest(apiVersion, kind) {
		if state.key.Namespace == namespace && state.key.Name == name {
			return current().ticket(state), true
		}
	}
	return 0, false
}

func ListObjects(
	apiVersion, kind, namespace, labelSelector string, limit uint32, cursor *string,
) (Page, error) {
	if labelSelector != "" {
		return Page{}, errors.New("the host of tests has no selectors")
	}
	states := current().newest(apiVersion, kind)
	states = slices.DeleteFunc(states, func(it *state) bool {
		return namespace != "" && it.key.Namespace != namespace
	})
	begin := 0
	if cursor != nil {
		begin, _ = strconv.Atoi(*cursor)
	}
	end := len(states)
	var page Page
	if limit > 0 && begin+int(limit) < end {
		end = begin + int(limit)
		more := strconv.Itoa(end)
		page.Cursor = &more
	}
	for _, state := range states[begin:end] {
		page.Objects = append(page.Objects, current().ticket(state))
	}
	return page, nil
}

func ListByIndex(apiVersion, kind, index, value string, limit uint32, cursor *string) (Page, error) {
	return Page{}, errors.New("the host of tests has no indices")
}

func Release(objects []Ticket) {
	for _, object := range objects {
		current().states[object] = nil
	}
}
