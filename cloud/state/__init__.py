"""How everything stands, written to InfluxDB for dashboards: alarms, areas, sites, gateways, devices, vehicles."""
