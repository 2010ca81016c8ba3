// What is to be reported.

import { config } from "../../../sdk/assemblyscript";

export class Config {
  // JSON pointers.
  report: string[] = [];
  detail: Detail = Detail.Whole;
  // Objects of the cache at once.
  page: u32 = 100;

  // Gives what is wrong with it.
  read(): string | null {
    const report = pointers(config.get("report"));
    if (report === null) {
      return 'config.report must be a list of 1 to 16 JSON pointers, for example ["/status/phase"]';
    }
    this.report = report;
    const detail = config.get("detail");
    if (detail !== null) {
      const known = DETAILS.indexOf(detail);
      if (known < 0) {
        return 'config.detail must be "key", "fields" or "whole"';
      }
      this.detail = known;
    }
    const page = config.get("page");
    if (page !== null) {
      this.page = pageOf(page);
      if (this.page < 1 || this.page > PAGE_MAX) {
        return `config.page must be a number from 1 to ${PAGE_MAX}`;
      }
    }
    return null;
  }

  // What is read of each object.
  pointersRead(): string[] {
    return this.detail == Detail.Key ? [] : this.report;
  }
}

// How much of an object is read.
export enum Detail { Key, Fields, Whole }

export function apiVersion(): string {
  const value = config.getString("apiVersion");
  return value === null ? "v1" : value;
}

export function kind(): string {
  const value = config.getString("kind");
  return value === null ? "Pod" : value;
}

// A list of strings without escapes, spelled without spaces: `["/a","/b"]`. Null if it is something else.
function pointers(json: string | null): string[] | null {
  if (json === null || !json.startsWith('["') || !json.endsWith('"]') || json.includes("\\")) {
    return null;
  }
  // A quote inside is one that the host did not escape, so it ends a string.
  const pointers = json.slice(2, -2).split('","');
  if (pointers.length > POINTERS_MAX) {
    return null;
  }
  for (let i = 0; i < pointers.length; i++) {
    if (!pointers[i].startsWith("/") || pointers[i].includes('"')) {
      return null;
    }
  }
  return pointers;
}

// 0 if it is no decimal, or too large.
function pageOf(json: string): u32 {
  if (json.length > 3) {
    return 0;
  }
  let page: u32 = 0;
  for (let i = 0; i < json.length; i++) {
    const digit = json.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) {
      return 0;
    }
    page = 10 * page + digit;
  }
  return page;
}

const DETAILS = ['"key"', '"fields"', '"whole"'];
const POINTERS_MAX = 16;
const PAGE_MAX: u32 = 500;
