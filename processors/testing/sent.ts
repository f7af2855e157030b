/** What comes out on the other side of a message channel. */
export function sent<Message>({ message, transfer }: { message: unknown; transfer: ArrayBuffer[] }): Message {
  return structuredClone(message, { transfer }) as Message;
}
