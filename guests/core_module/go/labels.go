// Reports the labels of config maps.
package main

func main() {}

//go:wasmexport watches
func watches() uint32 {
	return WatchAll("v1", "ConfigMap")
}

//go:wasmexport init
func initialise() uint32 {
	return OK()
}

//go:wasmexport on-add
func onAdd(address uint32) uint32 {
	defer freeAll()
	call := Call{address}
	Log(Info, "added "+name(call)+" "+labels(call.Object()))
	return answer(call.Object())
}

//go:wasmexport on-update
func onUpdate(address uint32) uint32 {
	defer freeAll()
	call := Call{address}
	if now := labels(call.New()); now != labels(call.Object()) {
		Log(Info, "relabelled "+name(call)+" "+now)
	}
	return answer(call.New())
}

//go:wasmexport on-delete
func onDelete(address uint32) uint32 {
	defer freeAll()
	Log(Info, "deleted "+name(Call{address}))
	return OK()
}

//go:wasmexport on-synced
func onSynced() uint32 {
	Log(Info, "synced")
	return OK()
}

func name(call Call) string {
	if namespace := call.Namespace(); namespace != "" {
		return namespace + "/" + call.Name()
	}
	return call.Name()
}

func labels(object uint32) string {
	if labels, ok := Get(object, "/metadata/labels"); ok {
		return labels
	}
	return "none"
}

// Fine, unless the label `fail` says how to fail.
func answer(object uint32) uint32 {
	switch fail, _ := Get(object, "/metadata/labels/fail"); fail {
	case `"permanent"`:
		return Permanent("asked to fail")
	case `"trap"`:
		panic("asked to trap")
	}
	return OK()
}
