package informerd

import (
	"encoding/json"
	"fmt"

	"informerd.dev/informerd/internal/host"
)

// Key names one state of one object.
type Key struct {
	// Empty for the core group.
	Group, Version, Kind string
	// Empty for a cluster-scoped object.
	Namespace, Name string
	// UID differs between an object and its re-creation under the same name.
	UID string
	// ResourceVersion is compared for equality, never for order.
	ResourceVersion string
}

// APIVersion is group and version as in a manifest: v1, apps/v1.
func (key Key) APIVersion() string {
	if key.Group == "" {
		return key.Version
	}
	return key.Group + "/" + key.Version
}

// String gives NAMESPACE/NAME, or NAME of a cluster-scoped object.
func (key Key) String() string {
	if key.Namespace == "" {
		return key.Name
	}
	return key.Namespace + "/" + key.Name
}

// Object is one object in one state, which never changes. It can be read until the call that brought it returns;
// to read it later costs the instance. Keep what was read, or the key.
//
// The text stays in the host until it is asked for, and a value at a pointer costs far less than all of it.
type Object struct {
	ticket host.Ticket
	// Nil where the host did not bring it along.
	key *Key
}

func objectOf(key host.Key, ticket host.Ticket) Object {
	brought := Key(key)
	return Object{ticket, &brought}
}

// For package informerdtest, which cannot fill in what is not exported.
func init() {
	host.NewObject = func(ticket host.Ticket) any { return Object{ticket: ticket} }
}

// Key gives name, UID and resource version of this state.
func (object Object) Key() Key {
	if object.key == nil {
		return Key(host.ObjectKey(object.ticket))
	}
	return *object.key
}

// Get gives the value at a JSON pointer as JSON text, a string with its quotes, and whether there is one.
func (object Object) Get(pointer string) (string, bool) {
	return host.Get(object.ticket, pointer)
}

// GetString gives the string at a JSON pointer, and whether there is one: not if it is something else.
func (object Object) GetString(pointer string) (string, bool) {
	return host.GetString(object.ticket, pointer)
}

// JSON is all of the object.
func (object Object) JSON() string {
	return host.JSON(object.ticket)
}

// Unmarshal reads all of the object into a value of yours or of k8s.io/api, as [json.Unmarshal] does. The error is
// permanent, as the state would not be read the next time either.
func (object Object) Unmarshal(into any) error {
	if err := json.Unmarshal([]byte(object.JSON()), into); err != nil {
		return Permanent(fmt.Errorf("%s is not as expected: %w", object.Key(), err))
	}
	return nil
}
