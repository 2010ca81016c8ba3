module informerd.dev/informerd

go 1.24
