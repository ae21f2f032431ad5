// Runs a board's image: node emulator.mjs IMAGE.elf [--chip atmega2560 | rp2040 [--usb]] [--tcp PORT [--speed X]]
//
// Without --tcp the board stands still but for {"run": MILLISECONDS} on standard input, which makes tests repeatable. With it the
// board runs at X times real time (1 by default), and its serial line is the TCP port (0: any free one, which is printed).
//
// Standard input, a JSON object a line:
//   {"run": MS}                                        answered by {"ran", "ms", "sent": HEX, "stack_free": BYTES}
//   {"send": HEX}                                      bytes to the board's serial line
//   {"analog": {"0": VOLTS}}   {"pin": {"D3": 0}}      levels at inputs
//   {"pulses": {"pin": "D2", "count": N, "hz": F}}     falling edges at an input
//   {"sht3x": {..}}   {"bme280": {..}}   {"ds18b20": {..}}   {"dht22": {..}}    fields of the models, e.g. {"present": false}
//   {"stuck": "D7"}                                    the contact of a relay at this pin does not open any more, once it has closed
//   {"i2c_held": true}   {"hang": true}   {"panic": true}   {"reset": "external"}   {"power_cycle": true}   {"quit": true}
// Standard output: {"port"}, {"pin", "level", "ms"} when an output changes, {"reset", "ms"}, {"error"}; of a Pico
// {"written": ADDRESS, "ms"} when its flash is written.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Board, resetFlags } from './board.mjs';
import { Pico, picoResetFlags } from './pico.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    chip: { type: 'string', default: 'atmega328p' },
    'one-wire-pin': { type: 'string' },
    'dht-pin': { type: 'string' },
    usb: { type: 'boolean', default: false },
    tcp: { type: 'string' },
    speed: { type: 'string', default: '1' },
  },
});

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const stuck = new Set();
const report = (event) => {
  if (event.level !== 0 || !stuck.has(event.pin)) say(event);
};
let sent = [];
let client = null;

const isPico = options.chip === 'rp2040';
const board = new (isPico ? Pico : Board)(positionals[0], {
  chip: options.chip,
  usb: options.usb,
  oneWirePin: options['one-wire-pin'] ?? (isPico ? 'GP6' : 'D4'),
  dhtPin: options['dht-pin'] ?? (isPico ? 'GP9' : 'D5'),
  report,
  transmit: (byte) => {
    if (client) client.write(Buffer.from([byte]));
    else if (options.tcp === undefined) sent.push(byte);
  },
});

const commands = {
  run: (ms) => {
    board.run(ms);
    say({ ran: ms, ms: board.milliseconds(), sent: Buffer.from(sent).toString('hex'), stack_free: board.stackFree() });
    sent = [];
  },
  send: (hex) => board.send(Buffer.from(hex, 'hex')),
  analog: (inputs) => Object.entries(inputs).forEach(([input, volts]) => board.setAnalog(Number(input), volts)),
  pin: (pins) => Object.entries(pins).forEach(([name, level]) => board.setPin(name, level)),
  pulses: ({ pin, count, hz }) => pulse(pin, count, 500_000 / hz),
  sht3x: (fields) => Object.assign(board.sht3x, fields),
  bme280: (fields) => Object.assign(board.bme280, fields),
  ds18b20: (fields) => Object.assign(board.ds18b20, fields).changed(),
  dht22: (fields) => Object.assign(board.dht22, fields),
  stuck: (pin) => stuck.add(pin),
  i2c_held: (held) => (board.i2cHeld = held),
  hang: () => board.hang(),
  panic: () => board.panic(),
  reset: (cause) => board.reset((isPico ? picoResetFlags : resetFlags)[cause]),
  power_cycle: () => board.powerCycle(),
  quit: () => process.exit(0),
};

function pulse(pin, left, halfPeriod) {
  if (left === 0) return;
  board.setPin(pin, 0);
  board.after(halfPeriod, () => {
    board.setPin(pin, 1);
    board.after(halfPeriod, () => pulse(pin, left - 1, halfPeriod));
  });
}

function execute(line) {
  try {
    for (const [name, argument] of Object.entries(JSON.parse(line))) {
      if (!commands[name]) throw new Error(`no command "${name}"`);
      commands[name](argument);
    }
  } catch (error) {
    say({ error: String(error) });
  }
}

function serve(port, speed) {
  const server = createServer((socket) => {
    client?.destroy();
    client = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => board.send(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (client === socket) client = null;
    });
  });
  server.listen(port, '127.0.0.1', () => say({ port: server.address().port }));
  const began = { real: performance.now(), board: board.milliseconds() };
  const turn = () => {
    // At most 20 ms at a time, so that the socket and the commands get their turn.
    const due = (performance.now() - began.real) * speed - (board.milliseconds() - began.board);
    if (due > 0) board.run(Math.min(due, 20));
    setTimeout(turn, due > 20 ? 0 : 1);
  };
  turn();
}

createInterface({ input: process.stdin }).on('line', execute).on('close', () => process.exit(0));
if (options.tcp !== undefined) serve(Number(options.tcp), Number(options.speed));
