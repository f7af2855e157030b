// Telegraf with just the plugins that the chain Mosquitto -> Telegraf -> Kafka needs. The agent, its buffers and the plugins are
// Telegraf's own; this file only chooses them, as Telegraf's documentation of custom builds describes.
//
//	telegraf CONFIG
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"

	_ "github.com/influxdata/telegraf/plugins/inputs/mqtt_consumer"
	_ "github.com/influxdata/telegraf/plugins/outputs/kafka"
	_ "github.com/influxdata/telegraf/plugins/parsers/json"
	_ "github.com/influxdata/telegraf/plugins/serializers/json"
)

func main() {
	settings := config.NewConfig()
	if err := settings.LoadConfig(os.Args[1]); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := agent.NewAgent(settings).Run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}
