package informerd

import (
	"errors"
	"time"

	"informerd.dev/informerd/internal/host"
)

// Permanent makes an error one after which this state is not delivered again. The text stays as it is, and nil
// stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// RetryAfter makes an error one after which the state, or a newer one, is delivered again at this time: at least a
// millisecond, at most a day from now. After any other error, the host says when. The text stays as it is, and nil stays
// nil.
func RetryAfter(after time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return retryAfter{err, after}
}

// verdict is an error that says more of the failure than its text. Of several in one error, the outermost counts.
type verdict interface{ judge(*host.Failure) }

type permanent struct{ error }

func (err permanent) Unwrap() error { return err.error }

func (permanent) judge(failure *host.Failure) { failure.IsPermanent = true }

type retryAfter struct {
	error
	after time.Duration
}

func (err retryAfter) Unwrap() error { return err.error }

func (err retryAfter) judge(failure *host.Failure) {
	after := uint32(min(max(err.after.Milliseconds(), 1), day.Milliseconds()))
	failure.AfterMS = &after
}

// failure is an error in the contract's words.
func failure(err error) *host.Failure {
	if err == nil {
		return nil
	}
	answer := &host.Failure{Reason: err.Error()}
	var verdict verdict
	if errors.As(err, &verdict) {
		verdict.judge(answer)
	}
	return answer
}

const day = 24 * time.Hour
