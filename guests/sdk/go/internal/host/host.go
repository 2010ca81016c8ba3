// Package host is the contract (wit/) as functions of Go: what a module exports in Module, what it imports by its
// names. In a module, wasip1.go and exports_wasip1.go are behind it, in tests testing.go.
package host

// Exported is the handler of this module.
var Exported *Module

// NewObject makes an informerd.Object, which this package cannot know.
var NewObject func(Ticket) any

// Module is the contract's interface handler.
type Module struct {
	Watches func() []Watch
	Init    func() error
	// Set by Init.
	Notifications
}

// Notifications answer with nil if all is well.
type Notifications interface {
	OnAdd(key Key, object Ticket, isInInitialList bool) *Failure
	OnUpdate(key Key, old, new Ticket) *Failure
	OnDelete(key Key, last Ticket, finalStateUnknown bool) *Failure
	OnSynced() *Failure
}

// Ticket names one state of one object while a call runs.
type Ticket = uint32

// Key is the contract's object-key; no namespace is an empty one.
type Key struct {
	Group, Version, Kind string
	Namespace, Name      string
	UID                  string
	ResourceVersion      string
}

// Watch is the contract's watch.
type Watch struct {
	APIVersion    string
	Kind          string
	Namespaces    []string
	LabelSelector string
	FieldSelector string
}

// Failure is the contract's failure.
type Failure struct {
	IsPermanent bool
	Reason      string
	// Of a retry; nil leaves it to the host.
	AfterMS *uint32
}

// Page is the contract's page.
type Page struct {
	Objects []Ticket
	Cursor  *string
}

// Level is the contract's level.
type Level uint32

const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Field is the contract's field.
type Field struct{ Name, Value string }
