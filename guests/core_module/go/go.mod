module informerd.dev/guests/core-module

go 1.24
