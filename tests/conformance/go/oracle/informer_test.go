package oracle

import (
	"encoding/json"
	"errors"
	"testing"
)

// runInformer runs a whole informer over a scripted ListerWatcher, in virtual time.
func runInformer(_ *testing.T, _ json.RawMessage) (any, error) {
	return nil, errors.New("informer traces are not run yet")
}
