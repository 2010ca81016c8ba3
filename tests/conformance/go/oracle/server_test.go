package oracle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

func init() {
	// The handlers of errors remember when the last one was, to slow down those that come in a flood. That
	// time would be one of another trace, so of another virtual clock, and slow down for hours.
	utilruntime.ErrorHandlers = nil
}

// server is the one of src/informer_traces/server.rs, word for word in Go.
type server struct {
	watchList string
	pageSize  int

	lock            sync.Mutex
	resourceVersion int
	objects         map[string]*object
	incarnations    map[string]int
	// What a watch from an earlier version is told first.
	log []logged
	// Changes up to here are forgotten.
	flushed int
	streams []*watch.RaceFreeFakeWatcher
	// What becomes of the next requests; nil is answered.
	listFailures  []error
	watchFailures []error
	requests      []string
}

type logged struct {
	resourceVersion int
	event           watch.Event
}

type change struct {
	Verb   string `json:"verb"`
	Key    string `json:"key"`
	Silent bool   `json:"silent"`
}

func newServer(trace *informerTrace) *server {
	return &server{
		watchList:       trace.WatchList,
		pageSize:        trace.PageSize,
		resourceVersion: trace.FirstVersion,
		objects:         map[string]*object{},
		incarnations:    map[string]int{},
	}
}

// change does nothing if it makes no sense in the state that the object is in.
func (s *server) change(change change) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	_, exists := s.objects[change.Key]
	switch change.Verb {
	case "create":
		if !exists {
			return s.apply(change, watch.Added)
		}
	case "update":
		if exists {
			return s.apply(change, watch.Modified)
		}
	case "delete":
		if exists {
			return s.apply(change, watch.Deleted)
		}
	case "recreate":
		if exists {
			if err := s.apply(change, watch.Deleted); err != nil {
				return err
			}
		}
		return s.apply(change, watch.Added)
	default:
		return fmt.Errorf("no such verb: %q", change.Verb)
	}
	return nil
}

func (s *server) apply(change change, what watch.EventType) error {
	s.resourceVersion++
	if what == watch.Added {
		s.incarnations[change.Key]++
	}
	object, err := parseObject(fmt.Sprintf("%s#%d@%d", change.Key, s.incarnations[change.Key], s.resourceVersion))
	if err != nil {
		return err
	}
	s.objects[change.Key] = object
	if what == watch.Deleted {
		delete(s.objects, change.Key)
	}
	if !change.Silent {
		event := watch.Event{Type: what, Object: object}
		s.log = append(s.log, logged{s.resourceVersion, event})
		for _, stream := range s.streams {
			stream.Action(event.Type, event.Object)
		}
	}
	return nil
}

func (s *server) bookmark() {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, stream := range s.streams {
		stream.Action(watch.Bookmark, s.newBookmark())
	}
}

func (s *server) newBookmark() *object {
	return &object{ObjectMeta: metav1.ObjectMeta{ResourceVersion: s.version()}}
}

func (s *server) version() string {
	return strconv.Itoa(s.resourceVersion)
}

// close ends all streams, with this error if there is one.
func (s *server) close(failure error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.closeLocked(failure)
}

func (s *server) closeLocked(failure error) {
	for _, stream := range s.streams {
		if failure != nil {
			status := failure.(apierrors.APIStatus).Status()
			stream.Error(&status)
		}
		stream.Stop()
	}
	s.streams = nil
}

// silence makes the streams say nothing any more, and not end.
func (s *server) silence() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.streams = nil
}

// reset ends all streams and forgets all changes.
func (s *server) reset() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.closeLocked(nil)
	s.log = nil
	s.flushed = s.resourceVersion
}

func (s *server) failLists(name string, after, times int) error {
	failure, err := failure(name)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.listFailures = append(make([]error, after), slices.Repeat([]error{failure}, times)...)
	return err
}

func (s *server) failWatches(name string, times int) error {
	failure, err := failure(name)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.watchFailures = slices.Repeat([]error{failure}, times)
	return err
}

// calmDown forgets the failures that nothing has met.
func (s *server) calmDown() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.listFailures, s.watchFailures = nil, nil
}

// takeRequests gives what was asked since the last call.
func (s *server) takeRequests() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	taken := append([]string{}, s.requests...)
	s.requests = nil
	return taken
}

func (s *server) list(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	asked := fmt.Sprintf("list rv=%s limit=%d", options.ResourceVersion, options.Limit)
	begin := 0
	if options.Continue != "" {
		asked += " continue=" + options.Continue
		var err error
		if begin, err = strconv.Atoi(options.Continue); err != nil {
			return nil, err
		}
	}
	s.requests = append(s.requests, asked)
	if failure := take(&s.listFailures); failure != nil {
		return nil, failure
	}
	list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: s.version()}}
	page := s.sorted()[begin:]
	if s.pageSize > 0 && options.Limit > 0 && len(page) > s.pageSize {
		page = page[:s.pageSize]
		list.Continue = strconv.Itoa(begin + s.pageSize)
	}
	for _, object := range page {
		list.Items = append(list.Items, *object.DeepCopy())
	}
	return list, nil
}

func (s *server) watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	isWatchList := options.SendInitialEvents != nil && *options.SendInitialEvents
	if isWatchList {
		s.requests = append(s.requests, "watch-list rv="+options.ResourceVersion)
		if s.watchList == "refused" {
			return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
		}
		if failure := take(&s.listFailures); failure != nil {
			return nil, failure
		}
	} else {
		s.requests = append(s.requests, "watch rv="+options.ResourceVersion)
	}
	if failure := take(&s.watchFailures); failure != nil {
		return nil, failure
	}
	stream := watch.NewRaceFreeFake()
	if isWatchList {
		for _, object := range s.sorted() {
			stream.Add(object)
		}
		end := s.newBookmark()
		end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		if s.watchList == "served" {
			stream.Action(watch.Bookmark, end)
		}
	} else {
		from, err := strconv.Atoi(options.ResourceVersion)
		if err != nil {
			return nil, err
		}
		if from < s.flushed {
			return nil, expired()
		}
		for _, logged := range s.log {
			if logged.resourceVersion > from {
				stream.Action(logged.event.Type, logged.event.Object)
			}
		}
	}
	s.streams = append(s.streams, stream)
	return stream, nil
}

func (s *server) sorted() []*object {
	return slices.SortedFunc(maps.Values(s.objects), func(a, b *object) int {
		return strings.Compare(string(a.UID), string(b.UID))
	})
}

func take(failures *[]error) error {
	if len(*failures) == 0 {
		return nil
	}
	first := (*failures)[0]
	*failures = (*failures)[1:]
	return first
}

func failure(name string) (error, error) {
	switch name {
	case "unavailable":
		return apierrors.NewInternalError(syscall.EIO), nil
	case "expired":
		return expired(), nil
	case "too-many-requests":
		return apierrors.NewTooManyRequests("", 0), nil
	case "refused":
		return syscall.ECONNREFUSED, nil
	default:
		return nil, fmt.Errorf("no such failure: %q", name)
	}
}

func expired() error {
	return apierrors.NewResourceExpired("too old resource version")
}
