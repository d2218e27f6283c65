// One chat room. Of each session the client opens two bidirectional streams, whose first line says what they are for:
//
//   {"join": "name"}   then {"say": "text"} and {"lose": percent}; the room answers with {"people": [...]},
//                      {"from": "name", "text": "..."}
//   {"ping": true}     every byte behind this line comes back
//
// Datagrams come back too, but for those that the client asks to be lost.

const MAX_PEOPLE = 100;
const MAX_NAME = 30;
const MAX_TEXT = 500;
/** Characters of a line; text that cannot end in time is not collected. */
const MAX_LINE = 4096;
/** Messages that a slow reader may leave unread before it has to go. */
const MAX_UNREAD = 200;

const CODES = { full: 1, protocol: 2, slow: 3, closing: 4 };

export class Room {
  #people = new Set();

  /** Takes part of a session until it is over. */
  async enter(session) {
    if (this.#people.size >= MAX_PEOPLE) {
      session.reject(503);
      return;
    }
    const person = { session, name: '', loss: 0, writer: null, unread: 0 };
    this.#people.add(person);
    session.closed.catch(() => {}).then(() => this.#leave(person));
    session.accept();
    quietly(this.#returnDatagrams(person));
    for await (const stream of session.incomingBidirectionalStreams) quietly(this.#take(person, stream));
  }

  /** Sends everybody home. */
  close() {
    for (const { session } of this.#people) session.close(CODES.closing, 'the server stops');
  }

  async #returnDatagrams(person) {
    for await (const datagram of person.session.datagrams.readable) {
      if (Math.random() * 100 >= person.loss) person.session.sendDatagram(datagram);
    }
  }

  async #take(person, { readable, writable }) {
    const lines = linesOf(readable);
    const { value: first, done } = await lines.next();
    if (done) return;
    if (first.message.ping === true) {
      const writer = writable.getWriter();
      for await (const { line } of lines) await writer.write(encode(line));
      return;
    }
    if (typeof first.message.join !== 'string' || person.writer !== null) {
      person.session.close(CODES.protocol, 'expected {"join": name} or {"ping": true}');
      return;
    }
    person.name = first.message.join.trim().slice(0, MAX_NAME) || 'somebody';
    person.writer = writable.getWriter();
    this.#tellPeople();
    for await (const { message } of lines) this.#hear(person, message);
  }

  #hear(person, { say, lose }) {
    if (typeof say === 'string' && say.trim() !== '') {
      this.#tell({ from: person.name, text: say.trim().slice(0, MAX_TEXT) });
    }
    if (Number.isFinite(lose)) person.loss = lose;
  }

  #leave(person) {
    this.#people.delete(person);
    if (person.name !== '') this.#tellPeople();
  }

  #tellPeople() {
    this.#tell({ people: [...this.#people].flatMap(({ name }) => (name === '' ? [] : [name])) });
  }

  #tell(message) {
    const bytes = encode(JSON.stringify(message));
    for (const person of this.#people) {
      if (person.writer === null) continue;
      if (person.unread >= MAX_UNREAD) {
        person.session.close(CODES.slow, 'too many messages unread');
        continue;
      }
      person.unread += 1;
      const written = person.writer.write(bytes);
      quietly(written.finally(() => (person.unread -= 1)));
    }
  }
}

/** The lines of a stream: each as it is, and what it says if it is JSON. */
async function* linesOf(readable) {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of readable) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop();
    if (rest.length > MAX_LINE) throw new Error('a line is too long');
    for (const line of parts) yield { line, message: parsed(line) };
  }
}

function parsed(line) {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

function encode(line) {
  return new TextEncoder().encode(`${line}\n`);
}

/** Sessions and streams end at any time; `closed` tells of it. */
function quietly(promise) {
  promise.catch(() => {});
}
