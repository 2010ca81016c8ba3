package host

import (
	"errors"
	"runtime"
	"unsafe"
)

// What a module imports. A string crosses as its address and its length, an option as a bool before its value;
// an answer of more than one word is written to the address that is the last parameter. Words are of 32 bits.

//go:wasmimport objects key
func objectsKey(object Ticket, answer *[15]uint32)

//go:wasmimport objects get
func objectsGet(object Ticket, pointer string, answer *[3]uint32)

//go:wasmimport objects get-string
func objectsGetString(object Ticket, pointer string, answer *[3]uint32)

//go:wasmimport objects json
func objectsJSON(object Ticket, answer *[2]uint32)

//go:wasmimport config get
func configGet(name string, answer *[3]uint32)

//go:wasmimport config get-string
func configGetString(name string, answer *[3]uint32)

//go:wasmimport config json
func configJSON(answer *[2]uint32)

//go:wasmimport log log
func logLog(level uint32, message string, fields, count uint32)

//go:wasmimport cache get
func cacheGet(apiVersion, kind string, hasNamespace bool, namespace, name string, answer *[2]uint32)

//go:wasmimport cache list-objects
func cacheListObjects(
	apiVersion, kind string, hasNamespace bool, namespace, labelSelector string,
	limit uint32, hasCursor bool, cursor string, answer *[6]uint32,
)

//go:wasmimport cache list-by-index
func cacheListByIndex(
	apiVersion, kind, index, value string, limit uint32, hasCursor bool, cursor string, answer *[6]uint32,
)

//go:wasmimport cache release
func cacheRelease(objects, count uint32)

// ObjectKey is objects.key.
func ObjectKey(object Ticket) Key {
	defer taken()
	var answer [15]uint32
	objectsKey(object, &answer)
	return loadKey(addressOf(unsafe.Pointer(&answer)))
}

// Get is objects.get.
func Get(object Ticket, pointer string) (string, bool) {
	var answer [3]uint32
	objectsGet(object, pointer, &answer)
	return optional(&answer)
}

// GetString is objects.get-string.
func GetString(object Ticket, pointer string) (string, bool) {
	var answer [3]uint32
	objectsGetString(object, pointer, &answer)
	return optional(&answer)
}

// JSON is objects.json.
func JSON(object Ticket) string {
	var answer [2]uint32
	objectsJSON(object, &answer)
	return text(&answer)
}

// ConfigGet is config.get.
func ConfigGet(name string) (string, bool) {
	var answer [3]uint32
	configGet(name, &answer)
	return optional(&answer)
}

// ConfigGetString is config.get-string.
func ConfigGetString(name string) (string, bool) {
	var answer [3]uint32
	configGetString(name, &answer)
	return optional(&answer)
}

// ConfigJSON is config.json.
func ConfigJSON() string {
	var answer [2]uint32
	configJSON(&answer)
	return text(&answer)
}

// Log is log.log.
func Log(level Level, message string, fields []Field) {
	var list record
	for _, field := range fields {
		list.addText(field.Name)
		list.addText(field.Value)
	}
	logLog(uint32(level), message, list.address(), uint32(len(fields)))
	runtime.KeepAlive(&list)
}

// CacheGet is cache.get. An empty namespace is none.
func CacheGet(apiVersion, kind, namespace, name string) (Ticket, bool) {
	var answer [2]uint32
	cacheGet(apiVersion, kind, namespace != "", namespace, name, &answer)
	return answer[1], byte(answer[0]) != 0
}

// ListObjects is cache.list-objects. An empty namespace is none.
func ListObjects(
	apiVersion, kind, namespace, labelSelector string, limit uint32, cursor *string,
) (Page, error) {
	var answer [6]uint32
	after, hasCursor := given(cursor)
	cacheListObjects(
		apiVersion, kind, namespace != "", namespace, labelSelector, limit, hasCursor, after, &answer,
	)
	return page(&answer)
}

// ListByIndex is cache.list-by-index.
func ListByIndex(apiVersion, kind, index, value string, limit uint32, cursor *string) (Page, error) {
	var answer [6]uint32
	after, hasCursor := given(cursor)
	cacheListByIndex(apiVersion, kind, index, value, limit, hasCursor, after, &answer)
	return page(&answer)
}

// Release is cache.release.
func Release(objects []Ticket) {
	cacheRelease(addressOf(unsafe.Pointer(unsafe.SliceData(objects))), uint32(len(objects)))
	runtime.KeepAlive(objects)
}

func optional(answer *[3]uint32) (string, bool) {
	defer taken()
	return loadOptional(addressOf(unsafe.Pointer(answer)))
}

func text(answer *[2]uint32) string {
	defer taken()
	return loadText(addressOf(unsafe.Pointer(answer)))
}

// page gives a result<page, string>.
func page(answer *[6]uint32) (Page, error) {
	defer taken()
	address := addressOf(unsafe.Pointer(answer))
	if loadBool(address) {
		return Page{}, errors.New(loadText(address + 4))
	}
	// Shared with the host's block, as strings are.
	page := Page{Objects: unsafe.Slice((*Ticket)(at(answer[1])), answer[2])}
	if cursor, ok := loadOptional(address + 12); ok {
		page.Cursor = &cursor
	}
	return page, nil
}

func given(text *string) (string, bool) {
	if text == nil {
		return "", false
	}
	return *text, true
}
