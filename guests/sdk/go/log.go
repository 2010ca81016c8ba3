package informerd

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"informerd.dev/informerd/internal/host"
)

// LevelTrace is below [slog.LevelDebug]: the host's least important level.
const LevelTrace slog.Level = -8

// logHandler writes to the host's log, under the handler's name. The host decides what is shown.
type logHandler struct {
	// Of the logger.
	fields []host.Field
	// What the names of fields begin with: the logger's groups.
	group string
}

func (logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (handler logHandler) Handle(_ context.Context, record slog.Record) error {
	fields := make([]host.Field, len(handler.fields), len(handler.fields)+record.NumAttrs())
	copy(fields, handler.fields)
	record.Attrs(func(attr slog.Attr) bool {
		fields = appendField(fields, handler.group, attr)
		return true
	})
	host.Log(levelOf(record.Level), record.Message, fields)
	return nil
}

func (handler logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := slices.Clip(handler.fields)
	for _, attr := range attrs {
		fields = appendField(fields, handler.group, attr)
	}
	return logHandler{fields, handler.group}
}

func (handler logHandler) WithGroup(name string) slog.Handler {
	return logHandler{handler.fields, handler.group + name + "."}
}

// appendField writes texts as they are, as slog does it numbers and the like, everything else as JSON.
func appendField(fields []host.Field, group string, attr slog.Attr) []host.Field {
	value := attr.Value.Resolve()
	name := group + attr.Key
	switch value.Kind() {
	case slog.KindGroup:
		if attr.Key != "" {
			name += "."
		}
		for _, member := range value.Group() {
			fields = appendField(fields, name, member)
		}
		return fields
	case slog.KindAny:
		return append(fields, host.Field{Name: name, Value: textOf(value)})
	default:
		return append(fields, host.Field{Name: name, Value: value.String()})
	}
}

func textOf(value slog.Value) string {
	if err, ok := value.Any().(error); ok {
		return err.Error()
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value.Any()); err != nil {
		return value.String()
	}
	return strings.TrimSuffix(text.String(), "\n")
}

func levelOf(level slog.Level) host.Level {
	switch {
	case level < slog.LevelDebug:
		return host.Trace
	case level < slog.LevelInfo:
		return host.Debug
	case level < slog.LevelWarn:
		return host.Info
	case level < slog.LevelError:
		return host.Warn
	default:
		return host.Error
	}
}
