package informerd

import (
	"encoding/json"
	"fmt"

	"informerd.dev/informerd/internal/host"
)

// Config is the handler spec's config. It never changes while an instance lives.
var Config config

type config struct{}

// Get gives the value of this name as JSON text, a string with its quotes, and whether there is one.
func (config) Get(name string) (string, bool) {
	return host.ConfigGet(name)
}

// GetString gives the string of this name, and whether there is one: not if it is something else.
func (config) GetString(name string) (string, bool) {
	return host.ConfigGetString(name)
}

// JSON is all of it; {} if the handler spec has none.
func (config) JSON() string {
	return host.ConfigJSON()
}

// Unmarshal reads all of it, as [json.Unmarshal] does. The error is fit to refuse the configuration with.
func (config) Unmarshal(into any) error {
	if err := json.Unmarshal([]byte(host.ConfigJSON()), into); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}
