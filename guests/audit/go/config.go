package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"informerd.dev/informerd"
)

type config struct {
	// JSON pointers.
	report []string
	detail detail
	// Objects of the cache at once.
	page int
	// Of the cache: all if empty.
	labelSelector string
}

// detail is how much of an object is read.
type detail string

const (
	key    detail = "key"
	fields detail = "fields"
	whole  detail = "whole"
)

// watched gives the apiVersion and kind of what is watched.
func watched() (string, string) {
	apiVersion, ok := informerd.Config.GetString("apiVersion")
	if !ok {
		apiVersion = "v1"
	}
	kind, ok := informerd.Config.GetString("kind")
	if !ok {
		kind = "Pod"
	}
	return apiVersion, kind
}

func readConfig() (config, error) {
	config := config{detail: whole, page: pageDefault}
	// Pointers, as null is no pointer.
	var report []*string
	text, _ := informerd.Config.Get("report")
	if json.Unmarshal([]byte(text), &report) != nil || len(report) == 0 || len(report) > pointersMax {
		return config, errReport
	}
	for _, pointer := range report {
		if pointer == nil || !isPointer(*pointer) {
			return config, errReport
		}
		config.report = append(config.report, *pointer)
	}
	if _, isThere := informerd.Config.Get("detail"); isThere {
		text, _ := informerd.Config.GetString("detail")
		config.detail = detail(text)
	}
	switch config.detail {
	case key, fields, whole:
	default:
		return config, errDetail
	}
	if text, isThere := informerd.Config.Get("page"); isThere {
		page, err := strconv.Atoi(text)
		if err != nil || page < 1 || page > pageMax {
			return config, errPage
		}
		config.page = page
	}
	config.labelSelector, _ = informerd.Config.GetString("labelSelector")
	return config, nil
}

func isPointer(text string) bool {
	isSpecial := func(it rune) bool { return it == '"' || it == '\\' || it < ' ' }
	return strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, isSpecial)
}

// pointers are what is read of each object.
func (config config) pointers() []string {
	if config.detail == key {
		return nil
	}
	return config.report
}

var (
	errReport = errors.New(`config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"]`)
	errDetail = errors.New(`config.detail must be "key", "fields" or "whole"`)
	errPage   = errors.New("config.page must be a number from 1 to 500")
)

const (
	pointersMax = 16
	pageDefault = 100
	pageMax     = 500
)
