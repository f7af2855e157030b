// What a good Go engineer writes by hand: Mochi MQTT with a publish hook into franz-go. The record is handed to the producer and
// the PUBACK does not wait for it; the producer batches, with acks=all and idempotence, which are franz-go's defaults.
//
//	mochi LISTEN BROKERS TOPIC      e.g. mochi 127.0.0.1:1883 127.0.0.1:9092 peer
//
// SIGTERM flushes what is buffered, and prints "records N failed M".
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceHook puts every published message on the topic, the device's id as the key.
type produceHook struct {
	mqtt.HookBase
	client          *kgo.Client
	topic           string
	records, failed atomic.Int64
}

func (h *produceHook) ID() string { return "produce" }

func (h *produceHook) Provides(b byte) bool { return bytes.Contains([]byte{mqtt.OnPublish}, []byte{b}) }

func (h *produceHook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	record := &kgo.Record{Topic: h.topic, Key: []byte(cl.ID), Value: pk.Payload}
	// Produce blocks while MaxBufferedRecords are on their way, which holds up the client's socket: back-pressure.
	h.client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
		if err != nil {
			h.failed.Add(1)
			return
		}
		h.records.Add(1)
	})
	return pk, nil
}

func main() {
	listen, brokers, topic := os.Args[1], os.Args[2], os.Args[3]
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// franz-go sends at once by default. Its documentation advises to linger a few ms where throughput counts, with batches larger
		// than the default 1 MiB only where the broker allows; and to raise the bound on buffered records.
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(500_000),
		// Small messages of a few devices: LZ4 and Snappy cost more CPU than they save on loopback, measured on this payload.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		log.Fatal(err)
	}
	options := &mqtt.Options{
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		InlineClient: false,
		// Mochi's readme: larger buffers for clients that publish much. The default of both is 2 KiB.
		ClientNetReadBufferSize:  64 * 1024,
		ClientNetWriteBufferSize: 64 * 1024,
		// How many QoS 1 messages a client may have on its way; beyond it Mochi drops the client.
		Capabilities: mqtt.NewDefaultServerCapabilities(),
	}
	options.Capabilities.ReceiveMaximum = 65535
	options.Capabilities.MaximumInflight = 65535
	server := mqtt.New(options)
	hook := &produceHook{client: client, topic: topic}
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		log.Fatal(err)
	}
	if err := server.AddHook(hook, nil); err != nil {
		log.Fatal(err)
	}
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: listen})); err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	_ = server.Close()
	_ = client.Flush(context.Background())
	fmt.Printf("records %d failed %d\n", hook.records.Load(), hook.failed.Load())
}
