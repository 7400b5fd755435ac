// SPDX-License-Identifier: MIT
// MQTT.js with SCRAM-SHA-256 (RFC 5802): node scram_test.js PORT USER PASSWORD [USER PASSWORD ...]
// Each user logs in and hears itself; with a wrong password he is refused with 0x86. Ends with the number of failures.
'use strict'

const crypto = require('crypto')
const mqtt = require('mqtt')

const METHOD = 'SCRAM-SHA-256'
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest()

class Scram {
  constructor (user, password) {
    this.password = password
    this.nonce = crypto.randomBytes(18).toString('base64')
    this.bare = `n=${user.replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${this.nonce}`
  }

  first () {
    return Buffer.from('n,,' + this.bare)
  }

  final (challenge) {
    const said = Object.fromEntries(challenge.toString().split(',').map(part => [part[0], part.slice(2)]))
    if (!said.r.startsWith(this.nonce)) throw new Error('the nonce is not ours')
    const salted = crypto.pbkdf2Sync(this.password, Buffer.from(said.s, 'base64'), Number(said.i), 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const bare = `c=biws,r=${said.r}`
    const whole = `${this.bare},${challenge},${bare}`
    const signature = hmac(crypto.createHash('sha256').update(clientKey).digest(), whole)
    this.expected = 'v=' + hmac(hmac(salted, 'Server Key'), whole).toString('base64')
    return Buffer.from(`${bare},p=${Buffer.from(clientKey.map((byte, i) => byte ^ signature[i])).toString('base64')}`)
  }
}

function connect (port, user, password) {
  const scram = new Scram(user, password)
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    properties: { authenticationMethod: METHOD, authenticationData: scram.first() }
  })
  client.handleAuth = (packet, callback) => {
    callback(null, {
      cmd: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: METHOD, authenticationData: scram.final(packet.properties.authenticationData) }
    })
  }
  return { client, scram }
}

function logsIn (port, user, password) {
  return new Promise((resolve, reject) => {
    const { client, scram } = connect(port, user, password)
    client.on('error', reject)
    client.on('connect', connack => {
      const said = connack.properties
      if (said.authenticationMethod !== METHOD) reject(new Error('CONNACK names no method'))
      if (said.authenticationData.toString() !== scram.expected) reject(new Error('the broker does not know the password'))
      client.subscribe('mqttjs/scram', () => client.publish('mqttjs/scram', user))
    })
    client.on('message', (topic, payload) => {
      client.end()
      payload.toString() === user ? resolve() : reject(new Error('another message'))
    })
  })
}

function isRefused (port, user, password) {
  return new Promise((resolve, reject) => {
    const { client } = connect(port, user, password)
    client.on('connect', () => { client.end(); reject(new Error('let in')) })
    client.on('error', error => {
      client.end(true)
      error.code === 0x86 ? resolve() : reject(error)
    })
  })
}

async function main () {
  const [port, ...users] = process.argv.slice(2)
  let failures = 0
  const attempt = async (name, promise) => {
    await promise.then(() => console.log(`${name}: ok`), error => { failures++; console.log(`${name}: ${error}`) })
  }
  for (let i = 0; i < users.length; i += 2) {
    await attempt(`${users[i]} logs in`, logsIn(port, users[i], users[i + 1]))
    await attempt(`${users[i]} with another password`, isRefused(port, users[i], users[i + 1] + 'x'))
  }
  process.exit(failures)
}

main()
