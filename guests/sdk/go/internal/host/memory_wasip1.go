package host

import "unsafe"

// How values cross: the component model's canonical ABI, as wit/CORE-MODULES.md has it. A pointer has 64 bits in Go and
// 32 there, so what crosses is an address as uint32. Go's collector moves nothing but stacks, and a pointer that is given to
// an import is never to a stack.

// passed are the blocks that the host has asked for, kept from the collector. Once what is in them is held by
// strings, which share them, they are forgotten: after each import, and at the beginning of each export.
var passed [][]byte

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	// Blocks of Go's are aligned to what divides their size, up to 8.
	block := make([]byte, max(size, 1))
	copy(block, unsafe.Slice((*byte)(at(old)), oldSize))
	passed = append(passed, block)
	return addressOf(unsafe.Pointer(&block[0]))
}

// taken forgets what the host has passed: all of it is held otherwise.
func taken() {
	clear(passed)
	passed = passed[:0]
}

func at(address uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(nil), address)
}

func addressOf(pointer unsafe.Pointer) uint32 {
	return uint32(uintptr(pointer))
}

func load(address uint32) uint32 {
	return *(*uint32)(at(address))
}

func loadBool(address uint32) bool {
	return *(*byte)(at(address)) != 0
}

// loadText gives the string whose address and length are there. It shares the host's block.
func loadText(address uint32) string {
	return unsafe.String((*byte)(at(load(address))), load(address+4))
}

// loadOptional gives an option<string>.
func loadOptional(address uint32) (string, bool) {
	if !loadBool(address) {
		return "", false
	}
	return loadText(address + 4), true
}

func loadKey(address uint32) Key {
	namespace, _ := loadOptional(address + 24)
	return Key{
		Group:           loadText(address),
		Version:         loadText(address + 8),
		Kind:            loadText(address + 16),
		Namespace:       namespace,
		Name:            loadText(address + 36),
		UID:             loadText(address + 44),
		ResourceVersion: loadText(address + 52),
	}
}

// record is what is passed to the host: words, and what they are the addresses of.
type record struct {
	words []uint32
	kept  []any
}

func (record *record) address() uint32 {
	if len(record.words) == 0 {
		return 0
	}
	return addressOf(unsafe.Pointer(&record.words[0]))
}

func (record *record) addText(text string) {
	record.words = append(record.words, addressOf(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text)))
	record.kept = append(record.kept, text)
}

func (record *record) addList(items *record, count int) {
	record.words = append(record.words, items.address(), uint32(count))
	record.kept = append(record.kept, items)
}
