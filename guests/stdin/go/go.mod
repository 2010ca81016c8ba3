module informerd.dev/guests/stdin

go 1.24
