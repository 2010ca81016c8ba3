package informerd

import (
	"errors"
	"time"

	"informerd.dev/informerd/internal/host"
)

// Permanent makes an error one after which this state is not delivered again. The text stays as it is.
func Permanent(err error) error {
	return permanent{err}
}

// RetryAfter makes an error one after which the state, or a newer one, is delivered again at this time: at least a
// millisecond, at most a day from now. Of any other error, the host says when.
func RetryAfter(after time.Duration, err error) error {
	return retryAfter{err, after}
}

type permanent struct{ error }

func (err permanent) Unwrap() error { return err.error }

type retryAfter struct {
	error
	after time.Duration
}

func (err retryAfter) Unwrap() error { return err.error }

// failure is an error in the contract's words. What was said last of an error counts, as with any wrapping.
func failure(err error) *host.Failure {
	if err == nil {
		return nil
	}
	answer := &host.Failure{Reason: err.Error()}
	for ; err != nil; err = errors.Unwrap(err) {
		switch it := err.(type) {
		case permanent:
			answer.IsPermanent = true
			return answer
		case retryAfter:
			after := uint32(min(max(it.after.Milliseconds(), 1), day.Milliseconds()))
			answer.AfterMS = &after
			return answer
		}
	}
	return answer
}

const day = 24 * time.Hour
