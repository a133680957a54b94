// Package jsoncodec reads and writes sessions as django_scs's JSON codec does.
package jsoncodec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Codec is an scs.Codec: sessionManager.Codec = jsoncodec.Codec{}.
type Codec struct{}

type object = map[string]any

// Marked is what Go has no type for. It is written back as it came.
type Marked object

var marker = regexp.MustCompile(`^(?s:\$\$.*|\$(bytes|date|datetime|decimal|float|int|time|timedelta|uuid))$`)

func (Codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	plain, err := mark(values)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object{"deadline": deadline.UTC().Truncate(time.Microsecond), "values": plain})
}

func (Codec) Decode(data []byte) (time.Time, map[string]any, error) {
	var session struct {
		Deadline time.Time
		Values   any
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&session)
	values, ok := unmark(session.Values).(object)
	if err == nil && !ok {
		err = errors.New("not written by the JSON codec")
	}
	return session.Deadline, values, err
}

func mark(value any) (plain any, err error) {
	switch v := value.(type) {
	case nil, bool, string, []string, int, int32, int64, uint, uint32, uint64, []int, json.Number, Marked:
		return v, nil
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return object{"$float": text}, nil
		} else if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text), nil
	case []byte:
		return object{"$bytes": v}, nil
	case time.Time:
		return object{"$datetime": v}, nil
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			if list[i], err = mark(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case object:
		marked := object{}
		for key, item := range v {
			if len(v) == 1 && marker.MatchString(key) {
				key = "$" + key
			}
			if marked[key], err = mark(item); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
		return marked, nil
	}
	return nil, fmt.Errorf("the JSON codec cannot keep a %T", value)
}

func unmark(value any) any {
	switch v := value.(type) {
	case json.Number:
		if number, err := strconv.Atoi(string(v)); err == nil {
			return number
		} else if number, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return number
		}
	case []any:
		for i := range v {
			v[i] = unmark(v[i])
		}
	case object:
		for key, item := range v {
			if len(v) == 1 && marker.MatchString(key) {
				return read(key, item)
			}
			v[key] = unmark(item)
		}
	}
	return value
}

func read(key string, item any) any {
	text, _ := item.(string)
	if strings.HasPrefix(key, "$$") {
		return object{key[1:]: unmark(item)}
	} else if data, err := base64.StdEncoding.DecodeString(text); key == "$bytes" && err == nil {
		return data
	} else if moment, err := time.Parse(time.RFC3339, strings.Replace(text, "+00:00", "Z", 1)); key == "$datetime" && err == nil {
		return moment
	} else if number, err := strconv.ParseFloat(text, 64); key == "$float" && err == nil {
		return number
	}
	return Marked{key: item}
}
