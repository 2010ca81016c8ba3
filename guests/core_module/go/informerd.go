package main

// The contract (wit/) in Go without generated bindings: the canonical ABI, with the short names of
// wit/CORE-MODULES.md. To be copied into a project of your own.
//
// A pointer has 64 bits in Go and 32 in the contract, so what crosses is an address as uint32.

import "unsafe"

// What the host has passed, until the call is over. The collector does not move it.
var passed = map[uint32][]byte{}

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	block := make([]byte, max(size, 1))
	copy(block, passed[old])
	address := addressOf(unsafe.Pointer(&block[0]))
	passed[address] = block
	return address
}

// Forgets what the host has passed: the end of each call.
func freeAll() {
	clear(passed)
}

func addressOf(pointer unsafe.Pointer) uint32 {
	return uint32(uintptr(pointer))
}

func load(address uint32) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(nil), address))
}

func loadByte(address uint32) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(nil), address))
}

// A text of the contract, copied.
func textAt(address uint32) string {
	bytes := (*byte)(unsafe.Add(unsafe.Pointer(nil), load(address)))
	return string(unsafe.Slice(bytes, load(address+4)))
}

// Call is what on-add, on-update and on-delete get.
type Call struct{ at uint32 }

func (call Call) Namespace() string {
	if loadByte(call.at+24) == 0 {
		return ""
	}
	return textAt(call.at + 28)
}
func (call Call) Name() string            { return textAt(call.at + 36) }
func (call Call) UID() string             { return textAt(call.at + 44) }
func (call Call) ResourceVersion() string { return textAt(call.at + 52) }

// Object is the ticket of the object that is added, of the old state, or of the last one.
func (call Call) Object() uint32 { return load(call.at + 60) }

// New is the ticket of an update's new state.
func (call Call) New() uint32 { return load(call.at + 64) }

// Flag is is-in-initial-list or final-state-unknown.
func (call Call) Flag() bool { return loadByte(call.at+64) != 0 }

//go:wasmimport objects get
func objectsGet(ticket uint32, pointer unsafe.Pointer, length uint32, answer unsafe.Pointer)

// Get gives the value at a JSON pointer as JSON text.
func Get(ticket uint32, pointer string) (string, bool) {
	var answer [3]uint32
	objectsGet(ticket, unsafe.Pointer(unsafe.StringData(pointer)), uint32(len(pointer)), unsafe.Pointer(&answer))
	if byte(answer[0]) == 0 {
		return "", false
	}
	return textAt(addressOf(unsafe.Pointer(&answer[1]))), true
}

type Level int32

const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

//go:wasmimport log log
func logLog(level Level, message unsafe.Pointer, length uint32, fields unsafe.Pointer, count uint32)

func Log(level Level, message string) {
	logLog(level, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)), nil, 0)
}

// Answers stay where they are until the next one of the same kind.
var (
	result    [6]uint32
	reason    string
	watchText [2]string
	watch     [10]uint32
	watchList [2]uint32
)

func storeText(at *uint32, text string) {
	into := unsafe.Slice(at, 2)
	into[0], into[1] = addressOf(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text))
}

// WatchAll is the answer of watches: all objects of one kind.
func WatchAll(apiVersion, kind string) uint32 {
	watchText = [2]string{apiVersion, kind}
	storeText(&watch[0], watchText[0])
	storeText(&watch[2], watchText[1])
	watchList = [2]uint32{addressOf(unsafe.Pointer(&watch)), 1}
	return addressOf(unsafe.Pointer(&watchList))
}

func OK() uint32 {
	result = [6]uint32{}
	return addressOf(unsafe.Pointer(&result))
}

// Permanent fails for good, until there is a newer state.
func Permanent(why string) uint32 {
	reason = why
	result = [6]uint32{1, 1}
	storeText(&result[2], reason)
	return addressOf(unsafe.Pointer(&result))
}

// Retry fails for now.
func Retry(why string) uint32 {
	reason = why
	result = [6]uint32{1, 0}
	storeText(&result[4], reason)
	return addressOf(unsafe.Pointer(&result))
}
