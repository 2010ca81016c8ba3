package main

import (
	"strings"
	"testing"
)

const conversation = `
{"id":1,"type":"add","key":{"namespace":"demo","name":"web-1"},"isInInitialList":true,"object":{"status":{"phase":"Pending"}}}
{"id":2,"type":"synced"}
{"id":3,"type":"update","key":{"namespace":"demo","name":"web-1"},"old":{"status":{"phase":"Pending"}},"new":{"status":{"phase":"Pending"}}}
{"id":4,"type":"update","key":{"namespace":"demo","name":"web-1"},"old":{"status":{"phase":"Pending"}},"new":{"status":{"phase":"Running"}}}
`

func TestAPodIsGreetedAndFollowed(t *testing.T) {
	expect(t, `{"id":0,"type":"init","config":{}}`+conversation, `
{"id":0,"result":"ok","watches":[{"apiVersion":"v1","kind":"Pod"}]}
{"log":"info","message":"hello demo/web-1"}
{"id":1,"result":"ok"}
{"id":2,"result":"ok"}
{"id":3,"result":"ok"}
{"log":"info","message":"demo/web-1 is Running"}
{"id":4,"result":"ok"}
`)
}

func TestTheGreetingCanBeConfigured(t *testing.T) {
	expect(t, `{"id":0,"type":"init","config":{"greeting":"moin"}}
{"id":1,"type":"add","key":{"name":"n-1"},"object":{}}`, `
{"id":0,"result":"ok","watches":[{"apiVersion":"v1","kind":"Pod"}]}
{"log":"info","message":"moin n-1"}
{"id":1,"result":"ok"}
`)
}

func expect(t *testing.T, lines, expected string) {
	t.Helper()
	var printed strings.Builder
	if err := serve(strings.NewReader(lines), &printed); err != nil {
		t.Fatal(err)
	}
	if printed.String() != expected[1:] {
		t.Errorf("it printed\n%s", printed.String())
	}
}
