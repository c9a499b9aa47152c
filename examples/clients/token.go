// Reports for a step of Interlock by its token. Copy this file; it needs Go 1.21 or newer, and nothing else.
//
//	token := Token{Callback: os.Getenv("INTERLOCK_CALLBACK")}
//	alive, err := token.Heartbeat(map[string]any{"read": 12})
//	reported, err := token.Complete(map[string]any{"pr": 812})
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Between tries; every report may be sent twice.
var pauses = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second}

// Token is the right to report for one step. Callback is the URL that the step handed out.
type Token struct{ Callback string }

// Refused is an answer that is a refusal. Code is such as "token-revoked".
type Refused struct {
	Status int
	Code   string
	Detail string
}

func (refused *Refused) Error() string { return refused.Code + ": " + refused.Detail }

// Complete reports the result, any JSON. The same one again is as good.
func (token Token) Complete(result any) (map[string]any, error) {
	return token.post("complete", map[string]any{"result": result})
}

// Fail reports a failure: an object with "message" and, if you like, "type", "retryable" and "details".
func (token Token) Fail(failure any) (map[string]any, error) { return token.post("fail", failure) }

// Heartbeat says that the work goes on. "cancel_requested" of the answer says that nobody wants it any more.
func (token Token) Heartbeat(details any) (map[string]any, error) {
	return token.post("heartbeat", map[string]any{"details": details})
}

// Progress says how far the work is: an object with "fraction" from 0 to 1, "message", or both.
func (token Token) Progress(progress any) (map[string]any, error) { return token.post("progress", progress) }

func (token Token) post(action string, given any) (map[string]any, error) {
	body, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 30 * time.Second}
	for tried := 0; ; tried++ {
		answer, err := client.Post(token.Callback+"/"+action, "application/json", bytes.NewReader(body))
		last := tried == len(pauses)
		if err != nil {
			if last {
				return nil, err
			}
			time.Sleep(pauses[tried])
			continue
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		told := map[string]any{}
		if err := json.Unmarshal(text, &told); err != nil && answer.StatusCode/100 == 2 {
			return nil, err
		}
		if answer.StatusCode/100 == 2 {
			return told, nil
		}
		if (answer.StatusCode != 429 && answer.StatusCode < 502) || last {
			kind, _ := told["type"].(string)
			detail, _ := told["detail"].(string)
			return nil, &Refused{answer.StatusCode, kind[strings.LastIndex(kind, "/")+1:], detail}
		}
		time.Sleep(pauses[tried])
	}
}

// go run token.go complete '{"pr": 812}'
func main() {
	token := Token{Callback: os.Getenv("INTERLOCK_CALLBACK")}
	actions := map[string]func(any) (map[string]any, error){
		"complete": token.Complete, "fail": token.Fail, "heartbeat": token.Heartbeat, "progress": token.Progress,
	}
	var given any
	if len(os.Args) > 2 {
		if err := json.Unmarshal([]byte(os.Args[2]), &given); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	told, err := actions[os.Args[1]](given)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	text, _ := json.Marshal(told)
	fmt.Println(string(text))
}
