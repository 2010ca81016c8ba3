// The audit trail in Go, as ../README.md describes it. config.go reads what is to be reported, failing.go fails on
// request, this file writes the trail.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"informerd.dev/informerd"
)

type audit struct {
	config  config
	failing failing
	// Lines written.
	seq int
}

func init() {
	informerd.Export(watches, newAudit)
}

func main() {}

func watches() []informerd.Watch {
	apiVersion, kind := watched()
	return []informerd.Watch{{APIVersion: apiVersion, Kind: kind}}
}

func newAudit() (*audit, error) {
	config, err := readConfig()
	if err != nil {
		return nil, err
	}
	slog.Debug("ready", "pointers", len(config.report), "page", config.page)
	return &audit{config: config}, nil
}

func (audit *audit) OnAdd(object informerd.Object, isInInitialList bool) error {
	if err := audit.failOnRequest(object); err != nil {
		return err
	}
	line := audit.line(object)
	line.add("initial", isInInitialList)
	audit.addWhole(line, object)
	audit.addValues(line, object)
	line.info("added " + object.Key().String())
	return nil
}

func (audit *audit) OnUpdate(old, new informerd.Object) error {
	if err := audit.failOnRequest(new); err != nil {
		return err
	}
	line := audit.line(new)
	if audit.config.detail == whole {
		line.add("newest", isNewest(new))
	}
	audit.addWhole(line, new)
	hasChanged := audit.config.detail == key
	for _, pointer := range audit.config.pointers() {
		before, wasThere := old.Get(pointer)
		after, isThere := new.Get(pointer)
		if before != after || wasThere != isThere {
			line.add(pointer, shown(before, wasThere)+" -> "+shown(after, isThere))
			hasChanged = true
		}
	}
	if hasChanged {
		line.info("updated " + new.Key().String())
	} else {
		slog.Debug("unchanged "+new.Key().String(), *line...)
	}
	return nil
}

func (audit *audit) OnDelete(last informerd.Object, finalStateUnknown bool) error {
	if err := audit.failOnRequest(last); err != nil {
		return err
	}
	line := audit.line(last)
	line.add("finalStateUnknown", finalStateUnknown)
	audit.addWhole(line, last)
	audit.addValues(line, last)
	line.info("deleted " + last.Key().String())
	return nil
}

func (audit *audit) OnSynced() error {
	apiVersion, kind := watched()
	options := informerd.ListOptions{LabelSelector: audit.config.labelSelector, PageSize: audit.config.page}
	objects, pages := 0, 0
	for page, err := range informerd.Cache.Pages(apiVersion, kind, options) {
		if err != nil {
			return err
		}
		objects += len(page)
		pages++
	}
	slog.Info("synced", "seq", audit.nextSeq(), "objects", objects, "pages", pages)
	return nil
}

func (audit *audit) failOnRequest(object informerd.Object) error {
	if audit.config.detail == key {
		return nil
	}
	return audit.failing.check(object)
}

// line begins with what every line about an object begins with.
func (audit *audit) line(object informerd.Object) *line {
	key := object.Key()
	return &line{"seq", audit.nextSeq(), "uid", key.UID, "resourceVersion", key.ResourceVersion}
}

func (audit *audit) nextSeq() int {
	audit.seq++
	return audit.seq
}

func (audit *audit) addWhole(line *line, object informerd.Object) {
	if audit.config.detail != whole {
		return
	}
	text := object.JSON()
	var labelled struct {
		Metadata struct{ Labels map[string]string }
	}
	// An object that is not as expected has no labels.
	_ = json.Unmarshal([]byte(text), &labelled)
	line.add("bytes", len(text))
	line.add("labels", len(labelled.Metadata.Labels))
}

func (audit *audit) addValues(line *line, object informerd.Object) {
	for _, pointer := range audit.config.pointers() {
		line.add(pointer, shown(object.Get(pointer)))
	}
}

// isNewest: whether the cache has no other state of the object by now.
func isNewest(object informerd.Object) bool {
	key := object.Key()
	cached, ok := informerd.Cache.Get(key.APIVersion(), key.Kind, key.Namespace, key.Name)
	return ok && cached.Key().ResourceVersion == key.ResourceVersion
}

// shown gives a value as it is written.
func shown(value string, isThere bool) string {
	switch {
	case !isThere:
		return "absent"
	case len(value) > valueMax:
		return fmt.Sprintf("(%d bytes)", len(value))
	default:
		return value
	}
}

// line is the fields of a line: names and values in turn.
type line []any

func (line *line) add(name string, value any) {
	*line = append(*line, name, value)
}

func (line *line) info(message string) {
	slog.Info(message, *line...)
}

// Longer values are only measured.
const valueMax = 256
