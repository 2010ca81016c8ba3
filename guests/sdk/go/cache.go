package informerd

import (
	"iter"

	"informerd.dev/informerd/internal/host"
)

// Cache is the host's cache: other objects than the one that a call is about. What can be read, and how stale it may
// be, stands in the contract, wit/cache.wit.
var Cache cache

type cache struct{}

// Get gives the object of this name, and whether there is one; the namespace of a cluster-scoped one is empty.
func (cache) Get(apiVersion, kind, namespace, name string) (Object, bool) {
	ticket, ok := host.CacheGet(apiVersion, kind, namespace, name)
	return Object{ticket: ticket}, ok
}

// ListOptions narrow a list. None of them is needed.
type ListOptions struct {
	// All of them if empty.
	Namespace     string
	LabelSelector string
	// At most so many objects a page; 500 unless told, and never more.
	PageSize int
}

// Pages gives the objects of a kind, by namespace and name. A page can be read until the next one is asked for, so
// that a call can go through any number of objects. An error is the last of it, and a permanent one: its text says
// what to change.
func (cache) Pages(apiVersion, kind string, options ListOptions) iter.Seq2[[]Object, error] {
	return pages(func(cursor *string) (host.Page, error) {
		limit := pageLimit(options.PageSize)
		return host.ListObjects(apiVersion, kind, options.Namespace, options.LabelSelector, limit, cursor)
	})
}

// PagesByIndex gives the objects of a kind under one value of an index: namespace, or owner with a UID. As Pages,
// without visiting the others.
func (cache) PagesByIndex(apiVersion, kind, index, value string, pageSize int) iter.Seq2[[]Object, error] {
	return pages(func(cursor *string) (host.Page, error) {
		return host.ListByIndex(apiVersion, kind, index, value, pageLimit(pageSize), cursor)
	})
}

func pageLimit(size int) uint32 {
	return uint32(min(max(size, 0), pageMax))
}

// pages asks for one after the other.
func pages(ask func(cursor *string) (host.Page, error)) iter.Seq2[[]Object, error] {
	return func(yield func([]Object, error) bool) {
		var cursor *string
		for {
			page, err := ask(cursor)
			if err != nil {
				yield(nil, Permanent(err))
				return
			}
			objects := make([]Object, len(page.Objects))
			for i, ticket := range page.Objects {
				objects[i].ticket = ticket
			}
			goesOn := yield(objects, nil)
			host.Release(page.Objects)
			if cursor = page.Cursor; cursor == nil || !goesOn {
				return
			}
		}
	}
}

const pageMax = 500
