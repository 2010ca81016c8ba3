package oracle

import (
	"maps"
	"sync"

	"k8s.io/client-go/features"
)

// gates takes the place of client-go's own feature gates, which can be set through the environment only, once,
// and not where they are locked.
type gates struct {
	lock    sync.RWMutex
	enabled map[features.Feature]bool
}

var (
	defaults = map[features.Feature]bool{}
	current  = &gates{}
)

func init() {
	if err := features.AddFeaturesToExistingFeatureGates(registry{}); err != nil {
		panic(err)
	}
	setFeatureGates(nil)
	features.ReplaceFeatureGates(current)
}

// setFeatureGates sets the gates to this release's defaults, except those that are given.
func setFeatureGates(except map[features.Feature]bool) {
	enabled := maps.Clone(defaults)
	maps.Copy(enabled, except)
	current.lock.Lock()
	defer current.lock.Unlock()
	current.enabled = enabled
}

// Enabled implements [features.Gates].
func (g *gates) Enabled(feature features.Feature) bool {
	g.lock.RLock()
	defer g.lock.RUnlock()
	return g.enabled[feature]
}

// registry takes in the defaults.
type registry struct{}

// Add implements [features.Registry].
func (registry) Add(specs map[features.Feature]features.FeatureSpec) error {
	for feature, spec := range specs {
		defaults[feature] = spec.Default
	}
	return nil
}
