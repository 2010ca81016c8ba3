package host

// What a module exports. The answers stay where they are until the next call.
var answered record

//go:wasmexport watches
func watches() uint32 {
	var list record
	watches := exported().Watches()
	for _, watch := range watches {
		var namespaces record
		for _, namespace := range watch.Namespaces {
			namespaces.addText(namespace)
		}
		list.addText(watch.APIVersion)
		list.addText(watch.Kind)
		list.addList(&namespaces, len(watch.Namespaces))
		list.addText(watch.LabelSelector)
		list.addText(watch.FieldSelector)
	}
	answered = record{}
	answered.addList(&list, len(watches))
	return answered.address()
}

//go:wasmexport init
func initialise() uint32 {
	answered = record{words: []uint32{0, 0, 0}}
	if err := exported().Init(); err != nil {
		answered = record{words: []uint32{1}}
		answered.addText(err.Error())
	}
	return answered.address()
}

//go:wasmexport on-add
func onAdd(call uint32) uint32 {
	key, object, isInInitialList := loadKey(call), load(call+60), loadBool(call+64)
	taken()
	return answer(exported().OnAdd(key, object, isInInitialList))
}

//go:wasmexport on-update
func onUpdate(call uint32) uint32 {
	key, old, new := loadKey(call), load(call+60), load(call+64)
	taken()
	return answer(exported().OnUpdate(key, old, new))
}

//go:wasmexport on-delete
func onDelete(call uint32) uint32 {
	key, last, finalStateUnknown := loadKey(call), load(call+60), loadBool(call+64)
	taken()
	return answer(exported().OnDelete(key, last, finalStateUnknown))
}

//go:wasmexport on-synced
func onSynced() uint32 {
	return answer(exported().OnSynced())
}

func exported() *Module {
	if Exported == nil {
		panic("there is no handler: call informerd.Export in an init function, main does not run")
	}
	return Exported
}

// answer writes a result<_, failure>.
func answer(failure *Failure) uint32 {
	switch {
	case failure == nil:
		answered = record{words: make([]uint32, 6)}
	case failure.IsPermanent:
		answered = record{words: []uint32{1, 1}}
		answered.addText(failure.Reason)
		answered.words = append(answered.words, 0, 0)
	case failure.AfterMS == nil:
		answered = record{words: []uint32{1, 0, 0, 0}}
		answered.addText(failure.Reason)
	default:
		answered = record{words: []uint32{1, 0, 1, *failure.AfterMS}}
		answered.addText(failure.Reason)
	}
	return answered.address()
}
