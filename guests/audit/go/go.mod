module informerd.dev/guests/audit

go 1.24

require informerd.dev/informerd v0.1.0

replace informerd.dev/informerd => ../../sdk/go
