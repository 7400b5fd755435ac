// SPDX-License-Identifier: MIT
//
// MQTT.js against the broker: node mqttjs_test.js URL DEADLINE_S [CA FILE]. Started by mqttjs_test.py and doors_test.py,
// which start the broker and name MQTT.js in NODE_PATH. Prints one line for each test; the exit status is the number of those that failed.
'use strict'
const assert = require('assert')
const fs = require('fs')
const mqtt = require('mqtt')

const url = process.argv[2]
const trust = process.argv[4] ? { ca: fs.readFileSync(process.argv[4]) } : {}
const deadline = Number(process.argv[3]) * 1000
const versions = { v31: { protocolVersion: 3, protocolId: 'MQIsdp' }, v311: { protocolVersion: 4 }, v5: { protocolVersion: 5 } }

function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('too late: ' + what)), deadline) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function connect (version, options = {}) {
  const client = mqtt.connect(url, { reconnectPeriod: 0, ...trust, ...versions[version], ...options })
  const arrived = []
  const waiting = []
  client.on('error', () => {})
  client.on('message', (topic, payload, packet) => {
    const message = { topic, payload: payload.toString(), packet }
    waiting.length ? waiting.shift()(message) : arrived.push(message)
  })
  client.next = () => within(arrived.length ? Promise.resolve(arrived.shift()) : new Promise(resolve => waiting.push(resolve)), 'message')
  client.arrived = arrived
  client.connack = await within(new Promise(resolve => client.once('connect', resolve)), 'CONNACK')
  return client
}

const tests = {
  async 'each pair of versions, each QoS' () {
    for (const to of Object.keys(versions)) {
      const receiver = await connect(to)
      await within(receiver.subscribeAsync('js/#', { qos: 2 }), 'SUBACK')
      for (const from of Object.keys(versions)) {
        const sender = await connect(from)
        for (const qos of [0, 1, 2]) {
          await within(sender.publishAsync('js/x', from + qos, { qos }), 'acknowledgement')
          const message = await receiver.next()
          assert.deepStrictEqual([message.topic, message.payload, message.packet.qos, message.packet.retain], ['js/x', from + qos, qos, false])
        }
        await sender.endAsync()
      }
      await receiver.endAsync()
    }
  },

  async 'retained messages and wills' () {
    for (const version of Object.keys(versions)) {
      const topic = 'js/will/' + version
      const dying = await connect(version, { will: { topic, payload: Buffer.from('gone'), qos: 1, retain: true } })
      const watcher = await connect(version)
      await watcher.subscribeAsync(topic, { qos: 1 })
      dying.stream.destroy()
      assert.strictEqual((await watcher.next()).packet.retain, false)
      const late = await connect(version)
      late.subscribe(topic, { qos: 1 })
      const message = await late.next()
      assert.deepStrictEqual([message.payload, message.packet.retain], ['gone', true])
      await late.publishAsync(topic, '', { qos: 1, retain: true })
      await late.endAsync()
      await watcher.endAsync()
    }
  },

  async 'a session is resumed' () {
    for (const version of ['v311', 'v5']) {
      const options = { clientId: 'js-session-' + version + new URL(url).protocol, clean: false, properties: version === 'v5' ? { sessionExpiryInterval: 100 } : undefined }
      const first = await connect(version, options)
      assert.strictEqual(first.connack.sessionPresent, false)
      await first.subscribeAsync('js/session', { qos: 1 })
      await first.endAsync()
      const sender = await connect(version)
      for (let i = 0; i < 20; i++) await sender.publishAsync('js/session', String(i), { qos: 1 })
      const again = await connect(version, options)
      assert.strictEqual(again.connack.sessionPresent, true)
      for (let i = 0; i < 20; i++) assert.strictEqual((await again.next()).payload, String(i))
      await sender.endAsync()
      await again.endAsync()
    }
  },

  async 'properties of 5.0' () {
    const receiver = await connect('v5', { properties: { topicAliasMaximum: 10, receiveMaximum: 10 } })
    assert(receiver.connack.properties.receiveMaximum > 0)
    await receiver.subscribeAsync('js/v5/#', { qos: 2, rap: true, properties: { subscriptionIdentifier: 7 } })
    const sender = await connect('v5', { clientId: '', clean: true, autoAssignTopicAlias: true, properties: { topicAliasMaximum: 5 } })
    const properties = {
      contentType: 'text/plain', responseTopic: 'answers', correlationData: Buffer.from([0, 255]), payloadFormatIndicator: true,
      messageExpiryInterval: 100, userProperties: { one: ['1', '2'], two: '3' }
    }
    for (const qos of [0, 1, 2, 0]) {
      // MQTT.js (5.16) hands a QoS 2 message that came by alias over without its topic: give that QoS a topic of its own
      const to = qos === 2 ? 'js/v5/two' : 'js/v5/a/topic'
      await sender.publishAsync(to, 'text', { qos, properties: { ...properties } })
      const { packet, topic } = await receiver.next()
      assert.strictEqual(topic, to)
      const got = packet.properties
      assert.deepStrictEqual([got.contentType, got.responseTopic, [...got.correlationData], got.payloadFormatIndicator, got.subscriptionIdentifier],
        ['text/plain', 'answers', [0, 255], true, 7])
      assert.deepStrictEqual({ ...got.userProperties }, { one: ['1', '2'], two: '3' })
      assert(got.messageExpiryInterval >= 99)
    }
    await sender.endAsync()
    await receiver.endAsync()
  },

  async 'a burst arrives in order' () {
    for (const qos of [0, 1, 2]) {
      const receiver = await connect('v311')
      await receiver.subscribeAsync('js/burst', { qos })
      const sender = await connect('v5')
      for (let i = 0; i < 500; i++) sender.publish('js/burst', String(i), { qos })
      for (let i = 0; i < 500; i++) assert.strictEqual((await receiver.next()).payload, String(i))
      await sender.endAsync()
      await receiver.endAsync()
    }
  },

  async 'a shared subscription' () {
    const members = [await connect('v5'), await connect('v311'), await connect('v31')]
    for (const member of members) await member.subscribeAsync('$share/js/js/shared', { qos: 1 })
    const sender = await connect('v311')
    for (let i = 0; i < 30; i++) await sender.publishAsync('js/shared', String(i), { qos: 1 })
    const got = []
    for (const member of members) for (let i = 0; i < 10; i++) got.push(Number((await member.next()).payload))
    assert.deepStrictEqual(got.sort((a, b) => a - b), [...Array(30).keys()])
    for (const client of [...members, sender]) await client.endAsync()
  },

  async 'take-over tells why' () {
    const old = await connect('v5', { clientId: 'js-taken' })
    const told = within(new Promise(resolve => old.once('disconnect', resolve)), 'DISCONNECT')
    const young = await connect('v5', { clientId: 'js-taken' })
    assert.strictEqual((await told).reasonCode, 0x8e)
    await young.endAsync()
  },

  async 'unsubscribing' () {
    for (const version of Object.keys(versions)) {
      const client = await connect(version)
      await client.subscribeAsync(['js/un/a', 'js/un/b'])
      await client.unsubscribeAsync('js/un/a')
      await client.publishAsync('js/un/a', 'no')
      await client.publishAsync('js/un/b', 'yes')
      assert.strictEqual((await client.next()).payload, 'yes')
      assert.strictEqual(client.arrived.length, 0)
      await client.endAsync()
    }
  }
}

async function main () {
  let failed = 0
  for (const [name, test] of Object.entries(tests)) {
    let problem = 'ok'
    try {
      await test()
    } catch (error) {
      problem = error.stack
      failed++
    }
    console.log(name + ': ' + problem)
  }
  process.exit(failed)
}

main()
